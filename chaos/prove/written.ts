/** What a recorded run wrote for certain, to choose from. */
import { eventsOf, type History, type Produce } from '../history.ts';

export interface Written {
  readonly queue: number;
  readonly producer: string;
  readonly values: readonly string[];
  readonly baseOffset: number;
  readonly invokedMs: number;
  readonly completedMs: number;
}

export function inMainTopic({ topic }: { readonly topic?: string }): boolean {
  return topic === undefined;
}

/** Of producers with sequences, known by one attempt alone, in order of their acknowledgements. */
export function ackedWrites(history: History): readonly Written[] {
  const produces = eventsOf(history, 'produce').filter(inMainTopic);
  const attempts = new Map<string, number>();
  for (const { values } of produces) {
    attempts.set(values[0]!, (attempts.get(values[0]!) ?? 0) + 1);
  }
  return produces.flatMap((line) => {
    const { producer, baseOffset, outcome, values } = line;
    if (outcome !== 'ok' || producer === undefined || baseOffset === undefined) return [];
    return attempts.get(values[0]!) === 1 ? [{ ...line, producer, baseOffset }] : [];
  });
}

export function isWrite(write: Pick<Produce, 'values'> | undefined): (value: string) => boolean {
  const values = new Set(write?.values);
  return (value) => values.has(value);
}
