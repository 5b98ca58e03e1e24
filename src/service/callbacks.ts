/** Callback work side by side. */
import type { CallError } from '../status.ts';

/** Runs `run` for each item; calls back once, with the first error or all results in order. */
export function gatherCallbacks<Item, Result>(
  items: readonly Item[],
  run: (item: Item, answer: (error?: CallError, result?: Result) => void) => void,
  done: (error: CallError | undefined, results: readonly Result[]) => void,
): void {
  const results: Result[] = new Array(items.length);
  let open = items.length;
  let ended = false;
  if (open === 0) {
    done(undefined, results);
    return;
  }
  items.forEach((item, at) => {
    run(item, (error, result) => {
      if (ended) return;
      if (error !== undefined) {
        ended = true;
        done(error, results);
        return;
      }
      results[at] = result!;
      open -= 1;
      if (open > 0) return;
      ended = true;
      done(undefined, results);
    });
  });
}
