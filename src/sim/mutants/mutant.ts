/**
 * Planted bugs (reliability section 2, marked M there, and issue 4): each is the real code with one
 * place changed. White space in `from` matches any white space, so that a mutant fits the sources
 * as well as what the compiler makes of them.
 */
export interface Mutant {
  readonly name: string;
  /** Without its ending. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** What a whole cluster hardly ever meets is found by a named test instead of by seeds. */
  readonly test?: { readonly file: string; readonly name: string };
}
