/** Which nodes the faults of one step have chosen: of two that hit the same neither is proved. */
import type { Stage } from '../nemesis/nemesis.ts';

export type Choice = Pick<Stage, 'claim' | 'isTaken' | 'begun'>;

export class Choices {
  readonly #chosen: Set<number>[] = [];
  readonly #begun: Promise<void>;
  allBegun: () => void = () => undefined;

  constructor() {
    this.#begun = new Promise((resolve) => {
      this.allBegun = resolve;
    });
  }

  /** As one fault of the step sees it. */
  ofOne(): Choice {
    const own = new Set<number>();
    this.#chosen.push(own);
    return {
      claim: (nodes) => {
        for (const node of nodes) own.add(node);
      },
      isTaken: (node) => this.#chosen.some((one) => one !== own && one.has(node)),
      begun: this.#begun,
    };
  }
}
