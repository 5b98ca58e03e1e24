/** The house rules as functions from files to complaints. */
import { posix } from 'node:path';
import { codeOnly, functionSpans, importsOf, startedBy } from './source-text.ts';

export interface SourceFile {
  /** From the top of the checkout, with `/`. */
  readonly path: string;
  readonly text: string;
}

export const LIMITS = {
  lineColumns: 100,
  functionLines: 70,
  fileLines: 500,
  testFileLines: 800,
} as const;

const GRPC = ['@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs'];

interface ImportRule {
  readonly from: RegExp;
  /** Paths of the checkout, and names of packages. The first rule that matches decides. */
  readonly may: readonly RegExp[];
}

const packages = (...names: readonly string[]) =>
  names.map((name) => new RegExp(`^${name.replaceAll('.', '\\.')}(/|$)`));
const NODE = /^node:/;

/** Style reference, "Allowed imports". */
const IMPORT_RULES: readonly ImportRule[] = [
  { from: /^raft\//, may: [/^raft\//, /^node:assert(\/|$)/] },
  {
    from: /^storage\//,
    may: [/^storage\//, /^raft\/(types|ports|errors|invariants)\.ts$/, NODE, ...packages('level')],
  },
  {
    from: /^src\/broker\//,
    may: [/^src\/broker\//, /^raft\/(types|fifo)\.ts$/, /^node:assert(\/|$)/],
  },
  {
    from: /^src\/client\//,
    may: [/^src\/client\//, /^src\/package-root\.ts$/, NODE, ...packages(...GRPC)],
  },
  { from: /^src\/(cli\/sim\.ts|testing\/|sim\/)/, may: [/^(?!chaos|bench|test|examples)/] },
  { from: /^src\/cli\/chaos\.ts$/, may: [/^chaos\//, /^(?!src\/sim\/|bench|test|examples)/] },
  { from: /^src\//, may: [/^(?!src\/sim\/|chaos\/|bench\/|test\/|examples\/)/] },
  {
    from: /^chaos\//,
    may: [
      /^(chaos|test\/processes)\//,
      NODE,
      ...packages(...GRPC, 'toxiproxy-node-client', 'yaml', 'zod'),
    ],
  },
  {
    from: /^bench\//,
    may: [
      /^(bench|src\/client|test\/processes)\//,
      /^test\/e2e\/growing-cluster\.ts$/,
      NODE,
      ...packages(...GRPC, 'holdfast'),
    ],
  },
  {
    from: /^examples\//,
    may: [/^(examples|src\/client)\//, NODE, ...packages(...GRPC, 'holdfast')],
  },
  // Starts what is tested, from outside: nothing of it.
  { from: /^test\/processes\/(?!.*\.test\.)/, may: [/^test\/processes\//, NODE] },
  { from: /^test\//, may: [/./] },
];

export function forbiddenImports({ path, text }: SourceFile): readonly string[] {
  const rule = IMPORT_RULES.find(({ from }) => from.test(path));
  return importsOf(text).flatMap((name) => {
    const target = resolveImport(path, name);
    if (name.startsWith('.') && !/\.(c|m)?[jt]s$/.test(name)) return [`${path}: ${name} lacks .ts`];
    if (rule?.may.some((pattern) => pattern.test(target)) === true) return [];
    return [`${path}: may not import ${target}`];
  });
}

export function resolveImport(path: string, name: string): string {
  return name.startsWith('.') ? posix.join(posix.dirname(path), name) : name;
}

/** What would make a pure part depend on anything but its inputs. */
const IMPURE: readonly (readonly [string, RegExp])[] = [
  ['Date', /(?<![.\w])Date\b/],
  ['performance', /(?<![.\w])performance\b/],
  ['Math.random', /\bMath\.random\b/],
  ['crypto', /(?<![.\w])crypto\b/],
  ['a timer', /\bset(?:Timeout|Interval|Immediate)\b/],
  ['queueMicrotask', /\bqueueMicrotask\b/],
  ['process', /(?<![.\w])process\./],
  ['console', /(?<![.\w])console\b/],
  ['a promise', /(?<![.\w])(?:async|await|Promise)\b(?!\s*[:?])/],
  ['top-level mutable state', /^(?:export )?(?:let|var)\b/],
  ['top-level mutable state', /^(?:export )?const \w+ = new (?:Map|Set|WeakMap)\b/],
];
const PURE = /^(?:raft|src\/broker|src\/sim)\//;
/** The simulator runs the real storage, which opens by promises; its scheduler waits for them. */
const AWAITS = /^src\/sim\//;
const DRAINS = /^src\/sim\/scheduler\.ts$/;

export function impurities({ path, text }: SourceFile): readonly string[] {
  if (!PURE.test(path)) return [];
  const lines = codeOnly(text).split('\n');
  return lines.flatMap((line, at) =>
    IMPURE.filter(([what, pattern]) => {
      if (what === 'a promise' && AWAITS.test(path)) return false;
      if (what === 'a timer' && DRAINS.test(path)) return false;
      return pattern.test(line);
    }).map(([what]) => `${path}:${at + 1}: ${what} in a pure part`),
  );
}

export function tooLong({ path, text }: SourceFile): readonly string[] {
  const lines = text.replace(/\n$/, '').split('\n');
  const isTest = path.startsWith('test/');
  const most = isTest ? LIMITS.testFileLines : LIMITS.fileLines;
  const complaints = lines.length > most ? [`${path}: ${lines.length} lines, at most ${most}`] : [];
  for (const [at, line] of lines.entries()) {
    if (line.length <= LIMITS.lineColumns) continue;
    complaints.push(`${path}:${at + 1}: ${line.length} columns, at most ${LIMITS.lineColumns}`);
  }
  for (const span of functionSpans(text)) {
    // A block or a suite of tests is no function to understand in one go.
    const isSuite = isTest && /^describe\b|^(?:export )?function \w+Suite\b/.test(span.head);
    if (span.lines <= LIMITS.functionLines || isSuite) continue;
    complaints.push(
      `${path}:${span.line}: function of ${span.lines} lines, at most ${LIMITS.functionLines}`,
    );
  }
  return complaints;
}

/** Written in pieces, so that this file does not complain about itself. */
const LEFTOVERS: readonly RegExp[] = [
  new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`),
  /\b(?:it|test|describe)\.(?:skip|only|todo)\b/,
  /^export default\b/,
];

export function leftovers({ path, text }: SourceFile): readonly string[] {
  const isConfig = /^[\w.-]+\.config\.ts$/.test(path);
  return text
    .split('\n')
    .flatMap((line, at) =>
      LEFTOVERS.some((pattern) => pattern.test(line)) && !isConfig
        ? [`${path}:${at + 1}: left over: ${line.trim()}`]
        : [],
    );
}

export function processExits({ path, text }: SourceFile): readonly string[] {
  if (path === 'src/main.ts' || !/\bprocess\.exit\(/.test(codeOnly(text))) return [];
  return [`${path}: process.exit belongs into src/main.ts alone`];
}

const MACHINE_PATHS = new RegExp(`(?:^|[^\\w.-])/(?:${['wo' + 'rk', 'ro' + 'ot'].join('|')})/`);
const HOME_PATHS = new RegExp(`(?:^|[^\\w.-])/(?:${['ho' + 'me', 'Us' + 'ers'].join('|')})/\\w`);
const REGISTRIES = new RegExp(
  ['npm' + 'js\\.org', 'py' + 'pi\\.org', 'proxy\\.go' + 'lang', 'crates' + '\\.io'].join('|'),
);

/** Nothing in the tree may depend on, or tell of, the machine it was written on. */
export function machineTraces({ path, text }: SourceFile): readonly string[] {
  return text
    .split('\n')
    .flatMap((line, at) =>
      [MACHINE_PATHS, HOME_PATHS, REGISTRIES].some((pattern) => pattern.test(line))
        ? [`${path}:${at + 1}: names a path of one machine or a registry: ${line.trim()}`]
        : [],
    );
}

/** Files that no other file imports, apart from entries. */
export function neverImported(
  files: readonly SourceFile[],
  isEntry: (path: string) => boolean,
): readonly string[] {
  const imported = new Set(
    files.flatMap(({ path, text }) =>
      [...importsOf(text), ...startedBy(text)].map((name) => resolveImport(path, name)),
    ),
  );
  return files
    .filter(({ path }) => !imported.has(path) && !isEntry(path))
    .map(({ path }) => `${path}: never imported`);
}

export function inexactVersions(manifest: {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}): readonly string[] {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  return Object.entries(all)
    .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}: ${version} is not one exact version`);
}

export function titles({ path, text }: SourceFile): readonly string[] {
  const outsideCode = text.replace(/^(```|~~~)[^\n]*\n[\s\S]*?^\1/gm, '');
  const count = outsideCode.split('\n').filter((line) => /^# /.test(line)).length;
  return count === 1 ? [] : [`${path}: ${count} titles, must be one`];
}
