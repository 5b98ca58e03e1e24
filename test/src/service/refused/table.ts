/** Inputs that each call of the API refuses: with which code and reason, and in which words. */
import type { GrpcCode, REASONS } from '../../../../src/status.ts';

export interface RefusedInput {
  /** Over the request of its table, which is fine by itself. */
  readonly fields: object;
  readonly code: keyof typeof GrpcCode;
  readonly reason: keyof typeof REASONS;
  readonly text: RegExp;
}

export interface RefusedInputs {
  /** A request that is taken, or refused only for what is not there. */
  readonly request: object;
  readonly rows: readonly RefusedInput[];
}

/** By method, such as `Log/Produce`. */
export type RefusedTables = Readonly<Record<string, RefusedInputs>>;

type Row = readonly [
  fields: object,
  code: RefusedInput['code'],
  reason: RefusedInput['reason'],
  text: RegExp,
];

export function table(request: object, rows: readonly Row[]): RefusedInputs {
  const read = ([fields, code, reason, text]: Row) => ({ fields, code, reason, text });
  return { request, rows: rows.map(read) };
}

/** Takes no input: nothing can be wrong with it. */
export const TAKES_NOTHING: RefusedInputs = { request: {}, rows: [] };

/**
 * The topic `refused` has three queues, `refused-compacted` too; `refused-off` remembers no dedup
 * keys.
 */
export const TOPIC = 'refused';
export const LONG_NAME = 'x'.repeat(128);

export const inTopic = {
  badName: [{ topic: 'a/b' }, 'INVALID_ARGUMENT', 'INVALID_NAME', /topic "a\/b" is not a name/],
  noName: [{ topic: '' }, 'INVALID_ARGUMENT', 'INVALID_NAME', /topic "" is not a name/],
  unknown: [{ topic: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /holdfast topic create none/],
  recreated: [{ topic_id: '999' }, 'NOT_FOUND', 'TOPIC_RECREATED', /topic_id/],
} as const satisfies Record<string, Row>;

export const ofGroup = {
  noName: [{ group: '' }, 'INVALID_ARGUMENT', 'INVALID_NAME', /group "" is not a name/],
  badName: [{ group: 'a@b' }, 'INVALID_ARGUMENT', 'INVALID_NAME', /group "a@b" is not a name/],
} as const satisfies Record<string, Row>;

export const paged = {
  negative: [{ page_size: -1 }, 'INVALID_ARGUMENT', 'NUMBER_OUT_OF_RANGE', /page_size is -1/],
  large: [{ page_size: 1001 }, 'INVALID_ARGUMENT', 'NUMBER_OUT_OF_RANGE', /between 0 and 1000/],
  token: [{ page_token: '!' }, 'INVALID_ARGUMENT', 'INVALID_REQUEST', /page_token is not one/],
} as const satisfies Record<string, Row>;

/** Of a call that takes a filter. */
export const filters: readonly Row[] = (
  [
    [{}, /type 0 is none: give TAG or SQL/],
    [{ type: 7, expression: 'a' }, /type 7 is none/],
    [{ type: 1 }, /character 1: a tag is missing/],
    [{ type: 1, expression: 'a | b' }, /character 3: tags are separated/],
    [{ type: 1, expression: 'a || *' }, /`\*` stands alone/],
    [{ type: 2 }, /character 1: .* it ends/],
    [{ type: 2, expression: "a > 'x'" }, /character 5: only numbers have an order/],
    [{ type: 2, expression: 'a LIKE 1' }, /character 3: .* found "LIKE"/],
    [{ type: 2, expression: '('.repeat(33) }, /maxFilterDepth/],
    [{ type: 2, expression: Array(65).fill('a').join(' OR ') }, /maxFilterConditions/],
    [{ type: 1, expression: 'x'.repeat(4097) }, /4097 bytes: at most 4096/],
  ] as const
).map(([filter, text]) => [{ filter }, 'INVALID_ARGUMENT', 'INVALID_FILTER', text]);
