/** A stage without processes: what is done to it is written down, in order. */
import type { Probe } from '../../../chaos/cluster/probe.ts';
import type { Affliction, Link, Release } from '../../../chaos/cluster/proxies.ts';
import type { Stage } from '../../../chaos/nemesis/nemesis.ts';
import { Choices } from '../../../chaos/run/choices.ts';
import { Random } from '../../../chaos/run/random.ts';

const nameOf = ({ from, to }: Link): string => `${from}-${to}`;
const CLOSED: Probe = { end: 'closed', ms: 1 };

export interface FakeOptions {
  readonly nodes?: number;
  /** What a link answers while something is on it; without it the fault does nothing. */
  readonly during?: Probe;
  /** What it answers before. */
  readonly before?: Probe;
  readonly seed?: number;
  readonly data?: string;
  /** What a node says of the cluster. */
  readonly view?: (node: number) => unknown;
  /** What a power cut takes from each node; 0 = every byte had reached the disk. */
  readonly lostBytes?: number;
  /** Commands of an operator fail until so much was done. */
  readonly refusesCommandsUntil?: number;
  /** What another fault of the step has. */
  readonly taken?: readonly number[];
  /** Whoever asks a link of theirs hears nothing, ever. */
  readonly down?: readonly number[];
}

export class FakeStage {
  readonly acts: string[] = [];
  readonly #on = new Map<string, number>();
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
  }

  /** Links with something on them right now. */
  get cut(): string[] {
    return [...this.#on].filter(([, count]) => count > 0).map(([name]) => name);
  }

  stage(): Stage {
    const { nodes: size = 3, seed = 1, view = () => undefined } = this.#options;
    const nodes = Array.from({ length: size }, (_, at) => at + 1);
    const choices = new Choices();
    choices.ofOne().claim(this.#options.taken ?? []);
    choices.allBegun();
    const cluster = {
      nodes,
      proxies: () => this.#proxies(),
      process: (node: number) => this.#process(node),
      view: async (node: number) => view(node),
      disk: (node: number) => this.#disk(node),
      command: async (words: readonly string[], past: number) => {
        this.acts.push(`${words.join(' ')} past ${past}`);
        if (this.acts.length <= (this.#options.refusesCommandsUntil ?? 0)) throw new Error('down');
      },
    };
    return {
      cluster,
      random: new Random(seed),
      load: { running: true },
      shardOfQueue: [1, 2, 3],
      leaders: new Map(nodes.map((node) => [node, node])),
      hold: async () => {
        this.acts.push('hold');
      },
      ...choices.ofOne(),
    } as unknown as Stage;
  }

  #process(node: number) {
    const act = (what: string) => () => {
      this.acts.push(`${what} ${node}`);
      return true;
    };
    return {
      pid: 0,
      files: { config: 'c.yaml', data: this.#options.data },
      kill: async () => act('kill')(),
      ...{ start: act('start'), pause: act('pause'), resume: act('resume') },
      signal: act('signal'),
    };
  }

  #disk(node: number) {
    const { lostBytes = 1 } = this.#options;
    return {
      page: { slowSyncs: (ms: number) => this.acts.push(`slow ${node} by ${ms}`) },
      isWatched: true,
      cutPower: () => {
        this.acts.push(`power ${node}`);
        return { files: ['log/1'], lostBytes, tornWrites: 0, undoneNames: 0 };
      },
    };
  }

  #proxies() {
    const put = async (what: string, links: readonly Link[]): Promise<Release> => {
      const names = links.map(nameOf);
      this.acts.push(`${what} ${names.join(' ')}`);
      for (const name of names) this.#on.set(name, (this.#on.get(name) ?? 0) + 1);
      return async () => {
        this.acts.push('release');
        for (const name of names) this.#on.set(name, (this.#on.get(name) ?? 0) - 1);
      };
    };
    return {
      silence: (links: readonly Link[]) => put('silence', links),
      refuse: (links: readonly Link[]) => put('refuse', links),
      afflict: (links: readonly Link[], { type }: Affliction) => put(type, links),
      probe: async (link: Link) => {
        const { before = CLOSED, during = CLOSED, down = [] } = this.#options;
        if (down.includes(link.from) || down.includes(link.to)) return { end: 'refused', ms: 1 };
        return (this.#on.get(nameOf(link)) ?? 0) > 0 ? during : before;
      },
    };
  }
}
