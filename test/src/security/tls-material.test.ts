/** What is read from certificate files, and what is refused with which advice. */
import { chmodSync, copyFileSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../../src/failure.ts';
import { foreignRights, readTlsMaterial } from '../../../src/security/tls-material.ts';
import { WatchedMaterial } from '../../../src/security/watched-material.ts';
import {
  authority,
  type CertificateOptions,
  certificateFiles,
  materialOf,
} from '../../harness/certificates.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

async function files(change: CertificateOptions = {}) {
  const ca = await authority(temporaryDirectory());
  return { ...(await certificateFiles(ca, 'node', change)), other: ca };
}

async function refusal(...args: Parameters<typeof readTlsMaterial>): Promise<string> {
  try {
    await readTlsMaterial(...args);
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).message).not.toContain('\n');
    return (error as Failure).message;
  }
  throw new Error('was not refused');
}

describe('refused', () => {
  it.each([0o644, 0o640, 0o604, 0o620, 0o601])('a key with the rights %o', async (mode) => {
    const paths = await files();
    chmodSync(paths.key, mode);
    const rights = mode.toString(8).padStart(4, '0');
    expect(await refusal(paths, Date.now())).toMatch(`others may use it (${rights}): chmod 600 it`);
    chmodSync(paths.key, 0o400);
    expect((await readTlsMaterial(paths, Date.now())).key).toEqual(readFileSync(paths.key));
  });

  it('by the group too, unless root owns it and that is the only way', () => {
    expect(0o640 & foreignRights(0, 1000)).toBe(0);
    expect(0o644 & foreignRights(0, 1000)).not.toBe(0);
    expect(0o660 & foreignRights(0, 1000)).not.toBe(0);
    for (const [owner, own] of [[0, 0] as const, [1000, 1000] as const, [7, 8] as const]) {
      expect(0o640 & foreignRights(owner, own)).not.toBe(0);
    }
  });

  it('a certificate that is over, or not yet valid', async () => {
    const [late, early] = [await files({ inDays: -30 }), await files({ inDays: 30 })];
    expect(await refusal(late, Date.now())).toMatch(
      /node\.crt: the certificate expired on .*new one/,
    );
    expect(await refusal(early, Date.now())).toMatch(/not valid before .*this machine's clock/);
  });

  it('files that are missing, or hold something else', async () => {
    const paths = await files();
    const { key: stranger } = await certificateFiles(paths.other, 'other');
    expect(await refusal({ ...paths, key: stranger }, Date.now())).toMatch(
      /other\.key is not the key of/,
    );
    expect(await refusal({ ...paths, cert: 'nowhere.crt' }, Date.now())).toBe(
      'nowhere.crt: there is no such file',
    );
    expect(await refusal({ ...paths, key: 'nowhere.key' }, Date.now())).toMatch(
      /^nowhere\.key: there is/,
    );
    expect(await refusal({ ...paths, cert: paths.key }, Date.now())).toMatch(
      /key holds no certificate/,
    );
    expect(await refusal({ ...paths, ca: paths.key }, Date.now())).toMatch(
      /key holds no certificate/,
    );
    writeFileSync(paths.key, 'x');
    expect(await refusal(paths, Date.now())).toMatch(/holds no private key that can be read/);
  });

  it('a certificate of the peer port that does not name the node', async () => {
    const paths = await files({ uris: ['holdfast://c/node/11', 'https://c/'] });
    const mustName = 'holdfast://c/node/1';
    expect(await refusal({ ...paths, mustName }, Date.now())).toMatch(
      /does not name holdfast:.*cert node/,
    );
    const named = { ...paths, mustName: 'holdfast://c/node/11' };
    expect((await readTlsMaterial(named, Date.now())).validTo.getTime()).toBeGreaterThan(
      Date.now(),
    );
  });
});

describe('while a node runs', () => {
  it('a new pair is taken, once', async () => {
    const paths = await files();
    const log: string[] = [];
    const material = await materialOf(paths, 0, log);
    const seen: Buffer[] = [];
    material.onChange(({ cert }) => seen.push(cert));
    await material.poll();
    expect([seen, log]).toEqual([[], []]);
    await certificateFiles(paths.other, 'node');
    await material.poll();
    await material.poll();
    expect(seen).toEqual([readFileSync(paths.cert)]);
    expect(material.current.cert).toEqual(readFileSync(paths.cert));
    expect(log).toEqual([
      expect.stringMatching(/^tls: new certificates are in use, valid until 20/),
    ]);
  });

  it('its end is told of, once a day', async () => {
    const paths = await files();
    const log: string[] = [];
    const hours = (count: number) => Date.now() + count * 3_600_000;
    let nowMs = hours(0);
    const write = (line: string) => void log.push(line);
    const logger = { info: write, error: write };
    const material = await WatchedMaterial.open('tls', paths, logger, () => nowMs);
    await material.poll();
    expect(log).toEqual([]);
    for (const at of [24 * 7, 24 * 7 + 1, 24 * 8 + 1]) {
      nowMs = hours(at);
      await material.poll();
    }
    expect(log).toHaveLength(2);
    expect(log[0]).toMatch(/certificate in use expires at .* put a new one at .*node\.crt/);
    nowMs = hours(24 * 21);
    await material.poll();
    expect(log[2]).toMatch(/certificate in use expired at/);
  });

  it('behind links that are swapped, as Kubernetes does', async () => {
    const paths = await files();
    const next = await certificateFiles(paths.other, 'next');
    const link = join(paths.other.directory, 'link.crt');
    const linkedKey = join(paths.other.directory, 'link.key');
    const swap = (to: typeof next) => {
      for (const file of [link, linkedKey]) rmSync(file, { force: true });
      symlinkSync(to.cert, link);
      symlinkSync(to.key, linkedKey);
    };
    swap(paths);
    const material = await materialOf({ cert: link, key: linkedKey, ca: undefined });
    swap(next);
    await material.poll();
    expect(material.current.cert).toEqual(readFileSync(next.cert));
  });

  it('a bad pair is left alone and told of, and mended', async () => {
    const paths = await files();
    const log: string[] = [];
    const material = await materialOf(paths, 0, log);
    const before = material.current;
    const next = await certificateFiles(paths.other, 'next');
    copyFileSync(next.cert, paths.cert);
    await material.poll();
    // The key may be on its way.
    expect(log).toEqual([]);
    for (let poll = 0; poll < 5; poll++) await material.poll();
    expect(log).toEqual([
      expect.stringMatching(/node\.key is not the key of .* stays in use .* correct the file/),
    ]);
    expect(material.current).toBe(before);
    copyFileSync(next.key, paths.key);
    await material.poll();
    expect(material.current.cert).toEqual(readFileSync(next.cert));
    await certificateFiles(paths.other, 'node', { inDays: -30 });
    await material.poll();
    await material.poll();
    expect(log.at(-1)).toMatch(/expired on .* stays in use/);
    expect(material.current.cert).toEqual(readFileSync(next.cert));
  });
});
