/** Every anomaly is found when it is planted into the history of a real run, a clean one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkHistory } from '../../../chaos/checker/check.ts';
import { PROPERTIES } from '../../../chaos/checker/properties.ts';
import { parseHistory } from '../../../chaos/history.ts';
import { ANOMALIES } from '../../../chaos/prove/anomalies.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const file = join(packageFolder(), 'test/chaos/data/clean.jsonl.gz');
const clean = parseHistory(gunzipSync(readFileSync(file)).toString());

describe('the history of a real run', () => {
  it('is clean', () => {
    expect(checkHistory(clean)).toMatchObject({ findings: [], timedOut: false });
  });

  it.each(ANOMALIES)('$property: $what', ({ property, plant }) => {
    const planted = plant(clean);
    expect(planted).toBeDefined();
    const { counts, findings } = checkHistory(planted ?? []);
    expect(counts[property]).toBeGreaterThan(0);
    const finding = findings.find(({ name }) => name === property);
    expect(finding?.lines.length).toBeGreaterThan(0);
  });

  it('has an anomaly planted for every property', () => {
    const planted = new Set(ANOMALIES.map(({ property }) => property));
    expect(PROPERTIES.map(({ name }) => name).filter((name) => !planted.has(name))).toEqual([]);
  });
});
