/** Every call has its row in the table of permissions, and the page shows the table. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';
import { verbNames } from '../../../src/security/access.ts';
import { type Demand, PERMISSIONS, type Permission } from '../../../src/security/permissions.ts';
import { Proto, SERVICE_NAMES } from '../../../src/service/proto.ts';

const page = join(packageRoot(), 'docs', 'security.md');
const HEAD = '| call | needs | |\n|---|---|---|\n';
const proto = new Proto();

interface Described {
  readonly path: string;
  readonly requestType: { readonly type: { readonly field: readonly { readonly name: string }[] } };
}

function servedMethods(): Described[] {
  return [...SERVICE_NAMES, 'grpc.health.v1.Health'].flatMap((service) =>
    Object.values(proto.all[service] as unknown as Record<string, Described>),
  );
}

function needOf({ field, isOptional, kind, verbs }: Demand): string {
  const what = kind === 'cluster' ? 'the cluster' : `${kind} \`${field}\``;
  const any = verbNames(verbs).join(' or ');
  return `${any} on ${what}${isOptional ? ', if named' : ''}`;
}

function rowOf([path, { asks, demands, note = '' }]: [string, Permission]): string {
  const name = path.slice(1).replace('holdfast.v1.', '').replace('/', '.');
  const any = asks === 'open' ? 'nothing' : 'to be known';
  const needs = asks === 'known' || asks === 'open' ? any : demands.map(needOf).join('; ');
  return `| \`${name}\` | ${needs} | ${note} |\n`;
}

describe('the table', () => {
  it('has a row for every call that is served, and no other', () => {
    const reflected = [...PERMISSIONS.keys()].filter((path) => path.includes('ServerReflection'));
    expect(reflected).toHaveLength(2);
    const served = [...servedMethods().map(({ path }) => path), ...reflected];
    expect([...PERMISSIONS.keys()].sort()).toEqual(served.sort());
  });

  it('names fields that the requests have', () => {
    for (const { path, requestType } of servedMethods()) {
      const { asks, demands } = PERMISSIONS.get(path)!;
      const fields = requestType.type.field.map(({ name }) => name);
      for (const { field } of asks === 'request' ? demands : []) {
        if (field !== '') expect(fields, path).toContain(field);
      }
    }
  });

  it('opens nothing but health and reflection', () => {
    const open = [...PERMISSIONS].filter(([, { asks }]) => asks === 'open').map(([path]) => path);
    expect(open.filter((path) => path.startsWith('/holdfast'))).toEqual([]);
    for (const [path, { asks, demands }] of PERMISSIONS) {
      if (asks === 'request' || asks === 'frames') expect(demands, path).not.toHaveLength(0);
    }
  });

  it('is that of docs/security.md', () => {
    const rows = [...PERMISSIONS].map(rowOf).join('');
    const text = readFileSync(page, 'utf8');
    const begin = text.indexOf(HEAD);
    expect(begin, 'the head of the table').toBeGreaterThan(0);
    const end = text.indexOf('\n\n', begin) + 1;
    if (process.env.REWRITE === '1') {
      writeFileSync(page, text.slice(0, begin) + HEAD + rows + text.slice(end));
    } else expect(text.slice(begin, end)).toBe(HEAD + rows);
  });
});
