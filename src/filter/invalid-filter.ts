/** What is wrong with a filter, and where. */
import { CallError } from '../status.ts';

/** `at` counts UTF-16 units from 0; people are told characters, from 1. */
export function invalidFilter(expression: string, at: number, what: string): CallError {
  const position = [...expression.slice(0, at)].length + 1;
  const text = `the filter is not valid at character ${position}: ${what}`;
  return new CallError('INVALID_FILTER', text, { metadata: { position: String(position) } });
}
