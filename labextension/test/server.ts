/** A server on the page's side of the wire: answers `fetch`, and remembers what was asked. */
import { ServerConnection } from '@jupyterlab/services';

export interface IAsked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: string;
}

type Answer = (request: Request) => Response | Promise<Response>;

export class FakeServer {
  readonly requests: IAsked[] = [];
  readonly settings: ServerConnection.ISettings;

  constructor(answer: Answer) {
    this.settings = ServerConnection.makeSettings({
      baseUrl: 'http://lab.test/user/alice/',
      wsUrl: 'ws://lab.test/user/alice/',
      token: '',
      fetch: async (input: RequestInfo | URL) => {
        const request = input as Request;
        const url = new URL(request.url);
        this.requests.push({
          method: request.method,
          path: url.pathname,
          query: url.searchParams,
          headers: request.headers,
          body: await request.clone().text()
        });
        return answer(request);
      }
    });
  }

  /** How often a path below the API was asked for. */
  count(path: string): number {
    return this.requests.filter(one => one.path.endsWith(`/conda-store-hub/api/v1/${path}`)).length;
  }
}

export function answer(status: number, body: object): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
}

/** An answer that comes in pieces of so many bytes. */
export function stream(bytes: Uint8Array, size: number): Response {
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) {
        controller.close();
        return;
      }
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    }
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
}
