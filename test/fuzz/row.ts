/** What came of one kind of input. */
export interface Row {
  readonly name: string;
  readonly tried: number;
  readonly taken: number;
  /** With an error that says so. */
  readonly refused: number;
  readonly grownBytes: number;
}
