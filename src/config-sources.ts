/** Where a configuration comes from: file < environment < flags, then checked as a whole. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import type { NodeConfig } from './config.ts';
import { brokenRelation, configSchema, toNodeConfig } from './config-schema.ts';
import { ExitCode, errorCode, Failure, oneLine } from './failure.ts';
import { nearest } from './nearest.ts';

export interface ConfigSources {
  /** A YAML file. */
  readonly file?: string | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** `key=value` texts, keys dotted: `raft.electionTimeoutMs=500`. */
  readonly settings?: readonly string[];
}

type Tree = { [key: string]: unknown };

/** Variables with our prefix that are not settings of a node. */
const OTHER_VARIABLES: readonly string[] = [
  'HOLDFAST_SERVER',
  'HOLDFAST_CA',
  'HOLDFAST_CERT',
  'HOLDFAST_CERT_KEY',
  'HOLDFAST_TOKEN',
  'HOLDFAST_DEBUG',
];
const PREFIX = 'HOLDFAST_';
/** A longer list would hide the error that it explains. */
const LISTED_MAX = 12;
const ALL_KEYS_PAGE = 'docs/operations.md lists all of them';

/** Throws a `Failure` of one line (exit code 2) that names the key, what is wrong and where. */
export function loadConfig(sources: ConfigSources): NodeConfig {
  const tree: Tree = sources.file === undefined ? {} : readYaml(sources.file);
  applyEnvironment(tree, sources.environment ?? {});
  for (const setting of sources.settings ?? []) applySetting(tree, setting);
  return checkConfig(tree, sources.file ?? 'configuration');
}

/** `where` begins the error line. */
export function checkConfig(tree: unknown, where: string): NodeConfig {
  const parsed = configSchema.safeParse(tree);
  if (!parsed.success) throw wrong(where, parsed.error.issues.map(describeIssue).join('; '));
  const config = toNodeConfig(parsed.data);
  const broken = brokenRelation(config);
  if (broken !== undefined) throw wrong(where, broken);
  return config;
}

function wrong(where: string, text: string, cause?: unknown): Failure {
  return new Failure(`${where}: ${text}`, ExitCode.usage, cause);
}

function readYaml(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why = errorCode(error) === 'ENOENT' ? 'there is no such file' : oneLine(error);
    throw wrong(file, why, error);
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw wrong(file, `not valid YAML: ${oneLine(error)}`, error);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(file, 'must be keys: values');
  return value as Tree;
}

function applyEnvironment(
  tree: Tree,
  environment: NonNullable<ConfigSources['environment']>,
): void {
  const keyOf = new Map(knownKeys().map((key) => [variableOf(key), key]));
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || value === undefined || OTHER_VARIABLES.includes(name)) continue;
    const key = keyOf.get(name);
    if (key === undefined) throw wrong(name, `no such setting${hint(name, [...keyOf.keys()])}`);
    setPath(tree, key, scalar(key, value, name), name);
  }
}

function applySetting(tree: Tree, setting: string): void {
  const at = setting.indexOf('=');
  const key = setting.slice(0, at === -1 ? setting.length : at);
  const known = knownKeys();
  if (!known.includes(key)) throw wrong(`--set ${setting}`, `no such key${hint(key, known)}`);
  if (at === -1) throw wrong(`--set ${setting}`, 'must be KEY=VALUE');
  setPath(tree, key, scalar(key, setting.slice(at + 1), `--set ${setting}`), `--set ${setting}`);
}

/** `1=127.0.0.1:7501,2=…` for peers; what YAML makes of the text for everything else. */
function scalar(key: string, text: string, where: string): unknown {
  if (key !== 'peers') {
    return configStrings.has(key) || key.startsWith('tls.') ? text : parse(text);
  }
  const entries = text.split(',').map((pair) => pair.trim().split('='));
  for (const entry of entries) if (entry.length !== 2) throw wrong(where, 'must be ID=HOST:PORT,…');
  return Object.fromEntries(entries);
}

/** Keys whose text must not be read as a number or as true. */
const configStrings: ReadonlySet<string> = new Set(['data', 'clusterId', 'logLevel']);

function setPath(tree: Tree, key: string, value: unknown, where: string): void {
  const path = key.split('.');
  const last = path.pop()!;
  let place = tree;
  for (const step of path) {
    place[step] ??= {};
    const inner = place[step];
    if (typeof inner !== 'object' || inner === null) throw wrong(where, `${step} is not a section`);
    place = inner as Tree;
  }
  place[last] = value;
}

/** Every settable key, dotted. */
export function knownKeys(): readonly string[] {
  return keysBelow([]);
}

function keysBelow(path: readonly string[]): readonly string[] {
  const inner = keysAt(path);
  return inner.length === 0 ? [path.join('.')] : inner.flatMap((key) => keysBelow([...path, key]));
}

/** `raft.electionTimeoutMs` → `HOLDFAST_RAFT_ELECTION_TIMEOUT_MS`. */
export function variableOf(key: string): string {
  const words = key.replaceAll('.', '_').replace(/([a-z])([A-Z])/g, '$1_$2');
  return PREFIX + words.toUpperCase();
}

/** The legal keys of the section at `path`. */
function keysAt(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(configSchema.shape);
  let section: unknown = configSchema;
  for (const step of path) {
    const { shape, valueType } = bare(section);
    section = shape === undefined ? valueType : shape[String(step)];
  }
  return Object.keys(bare(section).shape ?? {});
}

interface Section {
  readonly shape?: Readonly<Record<string, unknown>>;
  /** Of a record: what stands under each name. */
  readonly valueType?: unknown;
}

/** Without its default. */
function bare(section: unknown): Section {
  const holder = section as Section & { unwrap?: () => unknown };
  return holder.unwrap === undefined ? holder : bare(holder.unwrap());
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const at = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path);
    return issue.keys
      .map((key) => `unknown key ${at === '' ? key : `${at}.${key}`}${hint(key, known)}`)
      .join('; ');
  }
  const missing = issue.code === 'invalid_type' && issue.input === undefined;
  return `${at}: ${missing ? 'missing' : issue.message}`;
}

function hint(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  if (near !== undefined) return ` (did you mean ${near}?)`;
  return known.length > LISTED_MAX ? ` (${ALL_KEYS_PAGE})` : ` (known: ${known.join(', ')})`;
}
