/** `a || b`: messages with one of these tags; `*`: all messages. */
import { invalidFilter } from './invalid-filter.ts';

export const ALL_TAGS = '*';

const SEPARATOR = '||';

export function tagsOf(expression: string): ReadonlySet<string> {
  const tags = new Set<string>();
  let at = 0;
  for (const part of expression.split(SEPARATOR)) {
    const tag = part.trim();
    const start = at + part.length - part.trimStart().length;
    if (tag === '') throw invalidFilter(expression, at, 'a tag is missing');
    if (tag === ALL_TAGS && tag !== expression.trim()) {
      throw invalidFilter(expression, start, '`*` stands alone: all messages');
    }
    const bar = part.indexOf('|');
    if (bar >= 0) throw invalidFilter(expression, at + bar, 'tags are separated by `||`');
    tags.add(tag);
    at += part.length + SEPARATOR.length;
  }
  return tags;
}
