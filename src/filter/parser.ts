/**
 * The SQL-92 subset of RocketMQ, by recursive descent of bounded depth:
 *
 *   expression  = conjunction (OR conjunction)*
 *   conjunction = negation (AND negation)*
 *   negation    = NOT negation | "(" expression ")" | condition
 *   condition   = operand (= | <> | < | <= | > | >=) operand
 *               | operand [NOT] BETWEEN operand AND operand
 *               | name [NOT] IN "(" text ("," text)* ")"
 *               | name [NOT] (CONTAINS | STARTSWITH | ENDSWITH) text
 *               | name IS [NOT] NULL
 *               | name | TRUE | FALSE
 *   operand     = name | text | [+ | -] number | TRUE | FALSE
 */
import type { CallError } from '../status.ts';
import type { Expression, Operand, Order, ParsedFilter, TextTest } from './expression.ts';
import { invalidFilter } from './invalid-filter.ts';
import { FILTER_LIMITS } from './limits.ts';
import { type Keyword, type Token, tokensOf } from './tokens.ts';

const COMPARISONS: readonly string[] = ['=', '<>', '<', '<=', '>', '>='];
const TEXT_TESTS: readonly string[] = ['CONTAINS', 'STARTSWITH', 'ENDSWITH'] satisfies TextTest[];

export function parseFilter(text: string): ParsedFilter {
  return new Parser(text).parse();
}

type Located = Operand & { readonly token: Token };

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #names = new Map<string, number>();
  #at = 0;
  #depth = 0;
  #conditions = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokensOf(text);
  }

  parse(): ParsedFilter {
    const expression = this.#expression();
    if (this.#token.type !== 'end') throw this.#expected('AND, OR or the end');
    return { names: [...this.#names.keys()], expression };
  }

  get #token(): Token {
    return this.#tokens[this.#at]!;
  }

  #take(): Token {
    const token = this.#token;
    if (token.type !== 'end') this.#at += 1;
    return token;
  }

  #takes(text: Keyword | '(' | ')' | ','): boolean {
    const { text: found, type } = this.#token;
    const isThere = (type === 'keyword' || type === 'symbol') && found === text;
    if (isThere) this.#at += 1;
    return isThere;
  }

  #must(text: Keyword | '(' | ')'): void {
    if (!this.#takes(text)) throw this.#expected(text);
  }

  #refused(at: Token, what: string): CallError {
    return invalidFilter(this.#text, at.at, what);
  }

  #expected(what: string): CallError {
    const { text, type } = this.#token;
    const found = type === 'end' ? 'it ends' : `found ${JSON.stringify(text.slice(0, 32))}`;
    return this.#refused(this.#token, `${what} expected, ${found}`);
  }

  #expression(): Expression {
    return this.#joined('or', 'OR', () => this.#joined('and', 'AND', () => this.#negation()));
  }

  #joined(type: 'and' | 'or', keyword: Keyword, part: () => Expression): Expression {
    const first = part();
    const of = [first];
    while (this.#takes(keyword)) of.push(part());
    return of.length === 1 ? first : { type, of };
  }

  #negation(): Expression {
    const begin = this.#token;
    if (this.#takes('NOT')) return this.#within(begin, () => not(this.#negation()));
    if (!this.#takes('(')) return this.#condition();
    return this.#within(begin, () => {
      const inner = this.#expression();
      this.#must(')');
      return inner;
    });
  }

  #within(begin: Token, part: () => Expression): Expression {
    const { maxFilterDepth } = FILTER_LIMITS;
    this.#depth += 1;
    if (this.#depth > maxFilterDepth) {
      throw this.#refused(begin, `more than ${maxFilterDepth} within one another (maxFilterDepth)`);
    }
    const found = part();
    this.#depth -= 1;
    return found;
  }

  #condition(): Expression {
    const { maxFilterConditions } = FILTER_LIMITS;
    this.#conditions += 1;
    if (this.#conditions > maxFilterConditions) {
      const what = `more than ${maxFilterConditions} conditions (maxFilterConditions)`;
      throw this.#refused(this.#token, what);
    }
    const left = this.#operand();
    const { text, type } = this.#token;
    if (type === 'symbol' && COMPARISONS.includes(text)) return this.#comparison(left);
    if (this.#takes('IS')) return this.#isNull(left);
    const isNot = this.#takes('NOT');
    if (isNot || type === 'keyword') {
      const found = this.#test(left);
      if (found !== undefined) return isNot ? not(found) : found;
      if (isNot) throw this.#expected('BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH');
    }
    if (left.type === 'boolean') return { type: 'constant', value: left.value };
    if (left.type !== 'field') throw this.#expected('a comparison');
    return { type: 'equal', left, right: { type: 'boolean', value: true } };
  }

  #test(left: Located): Expression | undefined {
    if (this.#takes('BETWEEN')) return this.#between(left);
    if (this.#takes('IN')) return { type: 'in', field: this.#fieldOf(left), texts: this.#list() };
    const { text, type } = this.#token;
    if (type !== 'keyword' || !TEXT_TESTS.includes(text)) return undefined;
    this.#take();
    const field = this.#fieldOf(left);
    return { type: 'text', test: text as TextTest, field, text: this.#quoted() };
  }

  #comparison(left: Located): Expression {
    const { text } = this.#take();
    const right = this.#operand();
    if (left.type !== 'field' && right.type !== 'field') {
      throw this.#refused(left.token, 'two constants are compared: name a property');
    }
    const equal: Expression = { type: 'equal', left, right };
    if (text === '=') return equal;
    if (text === '<>') return not(equal);
    return this.#ordered(text as Order, left, right);
  }

  #ordered(order: Order, left: Located, right: Located): Expression {
    for (const side of [left, right]) {
      if (side.type === 'number' || side.type === 'field') continue;
      throw this.#refused(side.token, 'only numbers have an order: this takes = or <>');
    }
    return { type: 'order', order, left, right };
  }

  #between(value: Located): Expression {
    const low = this.#operand();
    this.#must('AND');
    const high = this.#operand();
    if (low.type === 'number' && high.type === 'number' && low.value > high.value) {
      throw this.#refused(low.token, 'BETWEEN takes the lower number first');
    }
    if (value.type !== 'field') throw this.#refused(value.token, 'a property expected');
    const of = [this.#ordered('>=', value, low), this.#ordered('<=', value, high)];
    return { type: 'and', of };
  }

  #isNull(left: Located): Expression {
    const isNot = this.#takes('NOT');
    this.#must('NULL');
    const found: Expression = { type: 'isNull', field: this.#fieldOf(left) };
    return isNot ? not(found) : found;
  }

  #list(): string[] {
    this.#must('(');
    const texts = [this.#quoted()];
    while (this.#takes(',')) texts.push(this.#quoted());
    if (!this.#takes(')')) throw this.#expected('"," or ")"');
    return texts;
  }

  #quoted(): string {
    if (this.#token.type !== 'text') throw this.#expected('text in single quotes');
    return this.#take().text;
  }

  #fieldOf(operand: Located): number {
    if (operand.type === 'field') return operand.field;
    throw this.#refused(operand.token, 'a property expected');
  }

  #operand(): Located {
    const token = this.#token;
    const isSigned = token.type === 'symbol' && (token.text === '+' || token.text === '-');
    if (isSigned) this.#at += 1;
    const { value, ...rest } = this.#token as Token & { readonly value?: number };
    if (value !== undefined) {
      this.#take();
      return { type: 'number', value: token.text === '-' ? -value : value, token };
    }
    if (isSigned) throw this.#expected('a number');
    const { text, type } = rest;
    const operand = this.#wordOperand(type, text);
    if (operand === undefined) throw this.#expected('a property, text, a number, NOT or "("');
    this.#take();
    return { ...operand, token };
  }

  #wordOperand(type: Token['type'], text: string): Operand | undefined {
    if (type === 'text') return { type: 'text', value: text };
    if (type === 'name') return { type: 'field', field: this.#fieldNamed(text) };
    if (type !== 'keyword' || (text !== 'TRUE' && text !== 'FALSE')) return undefined;
    return { type: 'boolean', value: text === 'TRUE' };
  }

  #fieldNamed(name: string): number {
    const field = this.#names.get(name) ?? this.#names.size;
    this.#names.set(name, field);
    return field;
  }
}

const not = (of: Expression): Expression => ({ type: 'not', of });
