/** The words of a filter expression, with their places. */
import { invalidFilter } from './invalid-filter.ts';

const KEYWORDS = [
  ...['AND', 'BETWEEN', 'CONTAINS', 'ENDSWITH', 'FALSE', 'IN', 'IS'],
  ...['NOT', 'NULL', 'OR', 'STARTSWITH', 'TRUE'],
] as const;
export type Keyword = (typeof KEYWORDS)[number];

export type Token = { readonly at: number } & (
  | { readonly type: 'name' | 'text'; readonly text: string }
  | { readonly type: 'number'; readonly text: string; readonly value: number }
  | { readonly type: 'keyword'; readonly text: Keyword }
  | { readonly type: 'symbol' | 'end'; readonly text: string }
);

/** Each matches from where it is set, in one pass, and never the empty text. */
const SPACE = /[ \t\r\n\f]+/y;
const WORD = /[A-Za-z_$][A-Za-z0-9_$]*/y;
const NUMBER = /(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y;
const SYMBOL = /<>|<=|>=|[<>=(),+-]/y;

export function tokensOf(expression: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at += matchAt(SPACE, expression, at).length;
    if (at === expression.length) return [...tokens, { type: 'end', text: '', at }];
    const { token, end } = tokenAt(expression, at);
    tokens.push(token);
    at = end;
  }
}

function tokenAt(expression: string, at: number): { token: Token; end: number } {
  if (expression[at] === "'") return textAt(expression, at);
  const word = matchAt(WORD, expression, at);
  if (word !== '') {
    const keyword = KEYWORDS.find((known) => known === word.toUpperCase());
    const token: Token =
      keyword === undefined
        ? { type: 'name', text: word, at }
        : { type: 'keyword', text: keyword, at };
    return { token, end: at + word.length };
  }
  const number = matchAt(NUMBER, expression, at);
  if (number !== '') {
    const end = at + number.length;
    if (matchAt(WORD, expression, end) !== '') {
      throw invalidFilter(expression, end, 'a number ends with a letter');
    }
    return { token: { type: 'number', text: number, value: Number(number), at }, end };
  }
  const symbol = matchAt(SYMBOL, expression, at);
  if (symbol === '') throw invalidFilter(expression, at, unexpected(expression, at));
  return { token: { type: 'symbol', text: symbol, at }, end: at + symbol.length };
}

/** In single quotes; two of them stand for one. */
function textAt(expression: string, at: number): { token: Token; end: number } {
  let text = '';
  for (let from = at + 1; ; ) {
    const quote = expression.indexOf("'", from);
    if (quote < 0) throw invalidFilter(expression, at, 'this text has no closing quote');
    text += expression.slice(from, quote);
    if (expression[quote + 1] !== "'") return { token: { type: 'text', text, at }, end: quote + 1 };
    text += "'";
    from = quote + 2;
  }
}

function matchAt(pattern: RegExp, expression: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(expression)?.[0] ?? '';
}

function unexpected(expression: string, at: number): string {
  const character = String.fromCodePoint(expression.codePointAt(at)!);
  if (character === '"') return 'text stands in single quotes';
  if (character === '!') return 'write `<>` for "not equal"';
  return `${JSON.stringify(character)} has no meaning here`;
}
