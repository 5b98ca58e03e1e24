import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { continueCrc } from '../../storage/crc.ts';
import { bodyCrcOf } from '../../storage/record.ts';

test('an empty array changes nothing, whoever has looked at its buffer', () => {
  const head = Buffer.from('head');
  const looked = new Uint8Array(0);
  expect(looked.buffer.byteLength).toBe(0);
  for (const empty of [looked, new Uint8Array(0), new Uint8Array(new ArrayBuffer(0))]) {
    expect(continueCrc(crc32(head), empty)).toBe(crc32(head));
    expect(bodyCrcOf(head, empty)).toBe(crc32(head));
    expect(bodyCrcOf(empty, head)).toBe(crc32(head));
  }
});

test('goes on where it stopped', () => {
  const text = Buffer.from('some bytes in two parts');
  const first = continueCrc(0, text.subarray(0, 9));
  expect(continueCrc(first, text.subarray(9))).toBe(crc32(text));
});
