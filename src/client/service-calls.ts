/** Calls of one service that are asked and answered as plain objects; lists come in pages. */
import { type CallKind, type Calls, plan } from './calls.ts';
import type { Proto, Service, WireObject } from './proto.ts';
import type { CallOptions } from './types.ts';

const PAGE_SIZE = 1000;

export class ServiceCalls {
  readonly #calls: Calls;
  readonly #proto: Proto;
  readonly #service: Service;

  constructor(calls: Calls, proto: Proto, service: Service) {
    this.#calls = calls;
    this.#proto = proto;
    this.#service = service;
  }

  call(
    name: string,
    request: WireObject,
    kind: CallKind,
    options: CallOptions | undefined,
  ): Promise<WireObject> {
    const method = this.#proto.method(this.#service, name);
    return this.#calls.unary(method, request, plan(kind, options, true));
  }

  /** One after the other, as they are asked for. */
  async *pages(
    name: string,
    request: WireObject,
    options: CallOptions | undefined,
  ): AsyncGenerator<WireObject> {
    for (let token: string | undefined; token !== ''; ) {
      const asked = { ...request, page_size: PAGE_SIZE, page_token: token ?? '' };
      const page = await this.call(name, asked, 'read', options);
      yield page;
      token = String(page.next_page_token ?? '');
    }
  }
}
