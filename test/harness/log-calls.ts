/** What the code hands to its logger, with `…` for what is filled in. */
import type { SourceFile } from './tidy-rules.ts';

export interface LoggedText {
  readonly path: string;
  readonly level: string;
  /** undefined = no text that can be read here: it must be written in the call itself. */
  readonly text: string | undefined;
}

const LOGGER_CALL = /\b\w*[lL]ogger\??\.(warn|error|fatal)\(/g;

export function loggedTexts({ path, text }: SourceFile): readonly LoggedText[] {
  return [...text.matchAll(LOGGER_CALL)].map((match) => {
    const call = textOf(text, match.index + match[0].length);
    return { path, level: match[1]!, text: lastLiteral(call) };
  });
}

/** The lines that are pushed to a report, except those that another report brings. */
export function reportedTexts({ path, text }: SourceFile): readonly LoggedText[] {
  return [...text.matchAll(/\b(?:doubts|lines|report)\.push\((?!\.\.\.)/g)].map((match) => {
    const call = textOf(text, match.index + match[0].length);
    return { path, level: 'warn', text: lastLiteral(call) };
  });
}

/** Up to the bracket that closes the call; brackets in texts come in pairs. */
function textOf(text: string, start: number): string {
  let depth = 1;
  let at = start;
  while (depth > 0 && at < text.length) {
    if (text[at] === '(') depth += 1;
    if (text[at] === ')') depth -= 1;
    at += 1;
  }
  return text.slice(start, at - 1);
}

function lastLiteral(call: string): string | undefined {
  const plain = /(?:^|,)\s*'((?:[^'\\]|\\.)*)',?\s*$/.exec(call);
  if (plain !== null) return plain[1]!;
  const template = /(?:^|,)\s*`([^`]*)`,?\s*$/.exec(call);
  if (template === null) return undefined;
  return template[1]!.replaceAll(/\$\{[^}]*\}/g, '…').replaceAll(/…+/g, '…');
}

/** First cells of the table rows below a heading. */
export function rowsUnder(page: string, heading: string): readonly (readonly string[])[] {
  const from = `\n${page}`.indexOf(`\n${heading}`);
  if (from === -1) throw new Error(`no heading ${heading}`);
  const section = page.slice(from).split(/\n#+ /)[0]!;
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', ''))
        .slice(1, -1),
    );
}
