/** A light reading of TypeScript for the house rules: what is code, and where functions are. */

/** The text with comments, strings and regular expressions blanked, line breaks kept. */
export function codeOnly(text: string): string {
  let out = '';
  let at = 0;
  const blank = (to: number) => {
    out += text.slice(at, to).replace(/[^\n]/g, ' ');
    at = to;
  };
  while (at < text.length) {
    const char = text[at]!;
    const pair = text.slice(at, at + 2);
    if (pair === '//') blank(orEnd(text, text.indexOf('\n', at)));
    else if (pair === '/*') blank(orEnd(text, text.indexOf('*/', at + 2), 2));
    else if (char === '"' || char === "'") blank(endOfString(text, at));
    else if (char === '`') blank(endOfTemplate(text, at));
    else if (char === '/' && startsRegularExpression(out)) blank(endOfRegularExpression(text, at));
    else {
      out += char;
      at += 1;
    }
  }
  return out;
}

function orEnd(text: string, found: number, width = 0): number {
  return found === -1 ? text.length : found + width;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start]) at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Code inside `${…}` counts as part of the template: it is never long. */
function endOfTemplate(text: string, start: number): number {
  let at = start + 1;
  let depth = 0;
  while (at < text.length) {
    if (text[at] === '\\') at += 1;
    else if (depth === 0 && text[at] === '`') return at + 1;
    else if (depth > 0 && text[at] === '`') at = endOfTemplate(text, at) - 1;
    else if (depth === 0 && text.startsWith('${', at)) depth = 1;
    else if (depth > 0 && text[at] === '{' && text[at - 1] !== '$') depth += 1;
    else if (depth > 0 && text[at] === '}') depth -= 1;
    at += 1;
  }
  return at;
}

function startsRegularExpression(before: string): boolean {
  return /(?:^|[(,=:[!&|?{};+~]|\breturn|=>)\s*$/.test(before.slice(-40));
}

function endOfRegularExpression(text: string, start: number): number {
  let at = start + 1;
  let inClass = false;
  while (at < text.length && text[at] !== '\n') {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
    else if (text[at] === '/' && !inClass) break;
    at += 1;
  }
  return at + 1;
}

export interface FunctionSpan {
  readonly line: number;
  readonly lines: number;
  /** What stands before the body, on one line. */
  readonly head: string;
}

interface OpenBlock {
  readonly at: number;
  readonly head: string;
  readonly headStart: number;
}

/** Functions, methods and arrow functions with a body in braces. */
export function functionSpans(text: string): readonly FunctionSpan[] {
  const code = codeOnly(text);
  const spans: FunctionSpan[] = [];
  const open: OpenBlock[] = [];
  let headStart = 0;
  for (let at = 0; at < code.length; at++) {
    const char = code[at];
    if (char === ';') headStart = at + 1;
    if (char === '{') {
      open.push({ at, head: code.slice(headStart, at), headStart });
      headStart = at + 1;
    }
    if (char !== '}') continue;
    const block = open.pop();
    if (block === undefined) continue;
    if (opensFunction(block.head)) spans.push(spanOf(code, block, at));
    // `): { a: number } {` and `({ a }) => {`: the head goes on after such an inner pair.
    headStart = isInnerPair(block.head) ? block.headStart : at + 1;
  }
  return spans;
}

function isInnerPair(head: string): boolean {
  return /[:|&<(,=[]\s*$|\b(?:return|extends|import|export)\s*$/.test(head);
}

function opensFunction(head: string): boolean {
  const trimmed = head.trim();
  if (/=>$/.test(trimmed)) return true;
  if (/^(?:else\s+)?(?:if|for|while|switch|catch|with)\b/.test(trimmed)) return false;
  return /\)(?:\s*:[^=]*)?$/.test(trimmed) && !/[:|&<(,=[]$/.test(trimmed);
}

function spanOf(code: string, { at, head, headStart }: OpenBlock, end: number): FunctionSpan {
  const isArrow = /=>\s*$/.test(head);
  const firstOfHead = headStart + (head.length - head.trimStart().length);
  const line = lineAt(code, isArrow ? at : firstOfHead);
  return { line, lines: lineAt(code, end) - line + 1, head: head.trim().replace(/\s+/g, ' ') };
}

function lineAt(text: string, at: number): number {
  let line = 1;
  for (
    let next = text.indexOf('\n');
    next !== -1 && next < at;
    next = text.indexOf('\n', next + 1)
  ) {
    line += 1;
  }
  return line;
}

/** What a module imports, statically or not. */
export function importsOf(text: string): readonly string[] {
  return namedAfter(text, /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*)(['"])([^'"\n]+)\1/g);
}

/** Modules that it starts as processes or threads of their own, by the names of their sources. */
export function startedBy(text: string): readonly string[] {
  const names = namedAfter(text, /\bnew URL\((['"])(\.[^'"\n]+\.c?js)\1/g);
  return names.map((name) => name.replace(/js$/, 'ts'));
}

function namedAfter(text: string, pattern: RegExp): readonly string[] {
  const code = codeOnly(text);
  const isCode = (match: RegExpExecArray) => code[match.index] !== ' ';
  return [...text.matchAll(pattern)].filter(isCode).map((match) => match[2]!);
}
