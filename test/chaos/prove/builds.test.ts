/**
 * The recorded history of a run against each broken build, cut down to the queues in question: the
 * checker finds what is broken, by itself. `npm run chaos:prove -- --record FOLDER` makes new ones.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkHistory } from '../../../chaos/checker/check.ts';
import { PROPERTIES } from '../../../chaos/checker/properties.ts';
import { eventsOf, type History, parseHistory } from '../../../chaos/history.ts';
import { BROKEN_BUILDS } from '../../../chaos/prove/builds.ts';
import { findScenario } from '../../../chaos/run/scenario-file.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const FOLDER = join(packageFolder(), 'test/chaos/data/broken');

function recorded(name: string): History {
  return parseHistory(gunzipSync(readFileSync(join(FOLDER, `${name}.jsonl.gz`))).toString());
}

describe.each(BROKEN_BUILDS)('$name', ({ name, scenario, properties }) => {
  const history = recorded(name);

  it('is found in the recorded history of a run', () => {
    const { counts, findings, timedOut } = checkHistory(history);
    const expected = findings.filter((finding) => properties.includes(finding.name));
    expect(timedOut).toBe(false);
    expect(expected.length).toBeGreaterThan(0);
    for (const { lines } of expected) expect(lines.length).toBeGreaterThan(0);
    expect(properties.some((property) => (counts[property] ?? 0) > 0)).toBe(true);
  });

  it('was found under the attack that is named for it', () => {
    expect(eventsOf(history, 'start')[0]?.scenario).toBe(scenario);
    expect(eventsOf(history, 'fault').some(({ state }) => state === 'installed')).toBe(true);
    expect(findScenario(scenario).name).toBe(scenario);
  });

  it('is expected to break properties that there are', () => {
    const names = PROPERTIES.map((property) => property.name);
    expect(names).toEqual(expect.arrayContaining([...properties]));
  });
});

it('no history is left of a build that is gone', () => {
  const names = readdirSync(FOLDER).map((file) => file.replace('.jsonl.gz', ''));
  expect(names.sort()).toEqual(BROKEN_BUILDS.map(({ name }) => name).sort());
});
