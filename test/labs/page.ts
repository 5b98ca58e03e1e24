/** A lab as it is written: the cluster it wants, and commands with what they print. */

export interface Step {
  /** A block `sh`, run as one script. */
  readonly script: string;
  /** The block `text` below it. `…` stands for anything; alone on a line, for any lines. */
  readonly expected: string | undefined;
}

export interface Lab {
  /** `--set` of the first block, which starts the cluster. */
  readonly settings: readonly string[];
  readonly steps: readonly Step[];
}

const FENCED = /^```(\w+)\n([\s\S]*?)^```$/gm;

/** Every fenced block, in order. */
export function blocksOf(
  page: string,
): readonly { readonly kind: string; readonly text: string }[] {
  return [...page.matchAll(FENCED)].map((match) => ({ kind: match[1]!, text: match[2]! }));
}

/** Throws for a page that does not begin with a cluster, or that expects before it does. */
export function readLab(page: string): Lab {
  const [up, ...blocks] = blocksOf(page);
  if (up?.kind !== 'sh' || !up.text.startsWith('npx holdfast up')) {
    throw new Error('the first block must start the cluster: npx holdfast up …');
  }
  const settings = [...up.text.matchAll(/--set (\S+)/g)].map((match) => match[1]!);
  const steps: Step[] = [];
  for (const [at, { kind, text }] of blocks.entries()) {
    if (kind === 'sh') {
      const next = blocks[at + 1];
      steps.push({ script: text, expected: next?.kind === 'text' ? next.text : undefined });
    } else if (kind !== 'text' || blocks[at - 1]?.kind !== 'sh') {
      throw new Error(`block ${at + 2} is ${kind} and follows no commands`);
    }
  }
  return { settings, steps };
}

export function isExpected(expected: string, output: string): boolean {
  const lines = expected.trimEnd().split('\n');
  const pattern = lines.map((line) => {
    if (line.trim() === '…') return '(?:[^\\n]*\\n)*?';
    const parts = line
      .trim()
      .split('…')
      .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    return `[ \\t]*${parts.join('[^\\n]*').replaceAll(/ +/g, ' +')}[ \\t]*\\n`;
  });
  return new RegExp(`^${pattern.join('')}$`).test(output === '' ? '' : `${output.trimEnd()}\n`);
}
