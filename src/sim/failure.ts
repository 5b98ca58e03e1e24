/** A broken invariant: the run is over, and its seed is the report. */
export class SimFailure extends Error {
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.name = 'SimFailure';
    this.invariant = invariant;
  }
}

export function expect(condition: boolean, invariant: string, detail: () => string): void {
  if (!condition) throw new SimFailure(invariant, detail());
}
