/** What a request is answered that was stored before: where its messages stand. */
import type { ApplyResult, FirstAnswer } from './commands.ts';
import type { AcceptedRequest } from './request-window.ts';

export function firstAnswer({ byKeys, index, term, baseOffset }: AcceptedRequest): FirstAnswer {
  return byKeys ?? { at: { term, index }, position: 0, baseOffset };
}

export function repeated({ at, baseOffset, position }: FirstAnswer, count: number): ApplyResult {
  const where = position === 0 ? {} : { position };
  return { type: 'produced', at, baseOffset, count, duplicate: true, ...where };
}
