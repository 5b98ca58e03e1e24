/** Every fault that a run meets is counted by its kind, so that coverage can be judged. */
export class FaultCounts {
  readonly counts: Record<string, number> = {};

  count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }
}
