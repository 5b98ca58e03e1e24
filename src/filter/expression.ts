/** A filter expression as a tree: what the parser makes and the compiler takes. */
export type Operand =
  /** The tag or a property: a number of `ParsedFilter.names`. */
  | { readonly type: 'field'; readonly field: number }
  | { readonly type: 'number'; readonly value: number }
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean };

export type Order = '<' | '<=' | '>' | '>=';
export type TextTest = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH';

export type Expression =
  | { readonly type: 'constant'; readonly value: boolean }
  | { readonly type: 'isNull'; readonly field: number }
  | { readonly type: 'equal'; readonly left: Operand; readonly right: Operand }
  | {
      readonly type: 'order';
      readonly order: Order;
      readonly left: Operand;
      readonly right: Operand;
    }
  | { readonly type: 'in'; readonly field: number; readonly texts: readonly string[] }
  | {
      readonly type: 'text';
      readonly test: TextTest;
      readonly field: number;
      readonly text: string;
    }
  | { readonly type: 'not'; readonly of: Expression }
  | { readonly type: 'and' | 'or'; readonly of: readonly Expression[] };

export interface ParsedFilter {
  /** Of the properties that it names, each once; TAGS is the tag. */
  readonly names: readonly string[];
  readonly expression: Expression;
}
