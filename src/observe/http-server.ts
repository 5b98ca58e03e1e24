/** HTTP for those who watch: a few paths that are read, nothing that is changed. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress } from '../address.ts';
import { Failure, oneLine } from '../failure.ts';

/** Beyond these a watcher waits for another to go. */
const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** By path, without the query. */
export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>;

export function jsonPage(status: number, value: object): Page {
  return { status, type: 'application/json', text: `${JSON.stringify(value)}\n` };
}

export class HttpServer {
  readonly #server: Server;

  constructor(pages: Pages) {
    this.#server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        // A body is of no use to any page.
        request.resume();
        const isRead = request.method === 'GET' || request.method === 'HEAD';
        void pageFor(pages, isRead, request.url ?? '/').then((page) => send(response, page));
      },
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  listen(at: Address): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        const what = `cannot listen on ${formatAddress(at)}: ${oneLine(error)}`;
        reject(new Failure(`${what}; change listen.http, or write metrics: false`));
      });
      this.#server.listen({ host: at.host, port: at.port }, () => {
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

async function pageFor(pages: Pages, isRead: boolean, url: string): Promise<Page> {
  if (!isRead) return plain(405, 'only GET and HEAD');
  const path = url.split('?', 1)[0]!;
  if (!Object.hasOwn(pages, path)) {
    return plain(404, `no such page; there are ${Object.keys(pages).join(', ')}`);
  }
  try {
    return await pages[path]!();
  } catch (error) {
    return plain(500, oneLine(error));
  }
}

function plain(status: number, text: string): Page {
  return { status, type: 'text/plain; charset=utf-8', text: `${text}\n` };
}

function send(response: ServerResponse, { status, type, text }: Page): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(text);
}
