/** One question over HTTP, and what was answered. */

/** More of an answer is not read. */
export const MAX_ANSWER_BYTES = 64 * 1024;

export type Outcome = 'COMMIT' | 'ROLLBACK' | 'UNKNOWN';

/**
 * answered: a 2xx reached us whole, so the producer was asked; `remark` says what is wrong with it.
 * failed: nobody knows whether it was.
 */
export type WebhookAnswer =
  | { readonly type: 'answered'; readonly outcome: Outcome; readonly remark?: string }
  | { readonly type: 'failed'; readonly why: string };

export interface Question {
  readonly url: string;
  readonly timeoutMs: number;
  readonly body: string;
  /** Gives the question up. */
  readonly signal: AbortSignal;
}

export async function askWebhook(question: Question): Promise<WebhookAnswer> {
  const { body, signal, timeoutMs, url } = question;
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      // Whoever may answer is in the configuration, and nobody else.
      redirect: 'manual',
      signal: AbortSignal.any([late, signal]),
      body,
    });
    const text = await readText(response);
    if (!response.ok) return { type: 'failed', why: `it answered status ${response.status}` };
    return { type: 'answered', ...outcomeIn(text) };
  } catch (error) {
    const isLate = late.aborted && !signal.aborted;
    return { type: 'failed', why: isLate ? `no answer within ${timeoutMs} ms` : causeOf(error) };
  }
}

/** undefined = longer than may be. */
async function readText(response: Response): Promise<string | undefined> {
  if (response.body === null) return '';
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks).toString('utf8');
    bytes += value.length;
    if (bytes > MAX_ANSWER_BYTES) {
      await reader.cancel();
      return undefined;
    }
    chunks.push(value);
  }
}

function outcomeIn(text: string | undefined): { outcome: Outcome; remark?: string } {
  const unknown = (remark: string) => ({ outcome: 'UNKNOWN', remark }) as const;
  if (text === undefined) return unknown(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return unknown('the answer is not JSON');
  }
  const outcome =
    typeof value === 'object' && value !== null && 'outcome' in value && value.outcome;
  if (outcome === 'COMMIT' || outcome === 'ROLLBACK' || outcome === 'UNKNOWN') return { outcome };
  return unknown('the answer has no `outcome` of COMMIT, ROLLBACK or UNKNOWN');
}

/** `fetch failed` says nothing: what is behind it does. */
function causeOf(error: unknown): string {
  const { cause, message } = error as Error;
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : message;
}
