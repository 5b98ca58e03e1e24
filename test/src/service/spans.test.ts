import { describe, expect, it } from 'vitest';
import { checkedTraceparent } from '../../../src/service/spans.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('what a client sends as traceparent', () => {
  it.each([`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-00`])('%s is taken', (text) => {
    expect(checkedTraceparent(text)).toBe(text);
  });

  it.each([
    undefined,
    '',
    'x'.repeat(55),
    `01-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-01\n`,
  ])('%j is none', (text) => {
    expect(checkedTraceparent(text)).toBeUndefined();
  });
});
