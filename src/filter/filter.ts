/** Filters: which messages a reader wants, said by tag or as an SQL expression. */
import { CallError } from '../status.ts';
import { conditionOf } from './conditions.ts';
import { FILTER_LIMITS } from './limits.ts';
import { MessageFields, TAG_NAME } from './message-fields.ts';
import { parseFilter } from './parser.ts';
import { ALL_TAGS, tagsOf } from './tags.ts';

/** As the proto numbers them. */
export const FilterType = { tag: 1, sql: 2 } as const;

/** What a reader asked for. */
export interface FilterText {
  readonly type: number;
  readonly expression: string;
}

export interface MessageFilter {
  /** Of the encoded field `messages` from `start` to `end`, tag included. */
  matches(bytes: Uint8Array, start: number, end: number): boolean;
}

/** Compiled filters that are kept: readers ask the same again and again. */
const COMPILED_MAX = 256;

/** undefined: every message is wanted. */
export function compileFilter(text: FilterText | undefined): MessageFilter | undefined {
  if (text === undefined) return undefined;
  const { expression, type } = text;
  const bytes = Buffer.byteLength(expression);
  const { maxFilterBytes } = FILTER_LIMITS;
  if (bytes > maxFilterBytes) {
    throw new CallError(
      'INVALID_FILTER',
      `the filter has ${bytes} bytes: at most ${maxFilterBytes} (maxFilterBytes) are allowed`,
    );
  }
  if (type === FilterType.tag) return byTag(tagsOf(expression));
  if (type === FilterType.sql) return bySql(expression);
  throw new CallError('INVALID_FILTER', `filter type ${type} is none: give TAG or SQL`);
}

function byTag(tags: ReadonlySet<string>): MessageFilter | undefined {
  if (tags.has(ALL_TAGS)) return undefined;
  const fields = new MessageFields([TAG_NAME]);
  return filterOf(fields, () => {
    const tag = fields.text(0);
    return tag !== null && tags.has(tag);
  });
}

function bySql(text: string): MessageFilter {
  const { expression, names } = parseFilter(text);
  const fields = new MessageFields(names);
  const condition = conditionOf(expression, fields);
  return filterOf(fields, () => condition() === true);
}

function filterOf(fields: MessageFields, isWanted: () => boolean): MessageFilter {
  return {
    matches: (bytes, start, end) => {
      fields.read(bytes, start, end);
      const matches = isWanted();
      fields.release();
      return matches;
    },
  };
}

export class CompiledFilters {
  readonly #kept = new Map<string, MessageFilter | undefined>();

  /** INVALID_FILTER, with the position, when it is not one. */
  get(text: FilterText | undefined): MessageFilter | undefined {
    if (text === undefined) return undefined;
    const name = `${text.type} ${text.expression}`;
    if (this.#kept.has(name)) return this.#kept.get(name);
    const filter = compileFilter(text);
    if (this.#kept.size >= COMPILED_MAX) this.#kept.clear();
    this.#kept.set(name, filter);
    return filter;
  }
}
