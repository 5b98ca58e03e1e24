/** HTTP for those who watch: a few paths that are read, nothing that is changed. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress } from '../address.ts';
import { Failure, oneLine } from '../failure.ts';

/** Further ones are closed at once. */
export const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** By path, without the query. */
export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>;
/** No path finds what every object has. */
type Known = ReadonlyMap<string, Pages[string]>;

export function jsonPage(status: number, value: object): Page {
  return { status, type: 'application/json', text: `${JSON.stringify(value)}\n` };
}

export class HttpServer {
  readonly #server: Server;

  constructor(pages: Pages) {
    const known: Known = new Map(Object.entries(pages));
    this.#server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        // A body is of no use to any page.
        request.resume();
        const isRead = request.method === 'GET' || request.method === 'HEAD';
        void pageFor(known, isRead, request.url ?? '/').then((page) => send(response, page));
      },
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  listen(at: Address): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      // It stays: a connection that could not be accepted later on is the watcher's loss alone.
      this.#server.on('error', (error) => {
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

async function pageFor(pages: Known, isRead: boolean, url: string): Promise<Page> {
  if (!isRead) return plain(405, 'only GET and HEAD');
  const page = pages.get(url.split('?', 1)[0]!);
  if (page === undefined) {
    return plain(404, `no such page; there are ${[...pages.keys()].join(', ')}`);
  }
  try {
    return await page();
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
