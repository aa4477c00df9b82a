/** The way through the user's server to the service: the only file that makes requests. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { ChannelProblem, ISearchPage } from '../tokens';
import { ApiError, isAbort, notOurs, raiseForStatus } from './errors';

/** Where the service is at the user's server. */
export const SERVICE = 'conda-store-hub/';
const BASE = `${SERVICE}api/v1/`;

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

interface IListAnswer<T> {
  readonly data: readonly T[];
  readonly count: number;
  readonly problems?: readonly ChannelProblem[];
}

export interface IRequest {
  readonly query?: Query;
  readonly body?: object;
  readonly signal?: AbortSignal | undefined;
}

export class Connection {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  /** What an answer is about. */
  async data<T>(method: string, path: string, request: IRequest = {}): Promise<T> {
    return ((await this._json(method, path, request)) as { readonly data: T }).data;
  }

  /** A page of a list, with the channels that could not be read. */
  async page<T>(path: string, query: Query, signal?: AbortSignal): Promise<ISearchPage<T>> {
    const answer = (await this._json('GET', path, { query, signal })) as IListAnswer<T>;
    return { items: answer.data, count: answer.count, problems: answer.problems ?? [] };
  }

  private async _json(method: string, path: string, request: IRequest): Promise<unknown> {
    const init: RequestInit = { method };
    if (request.body !== undefined) {
      init.body = JSON.stringify(request.body);
    }
    if (request.signal !== undefined) {
      init.signal = request.signal;
    }
    const response = await this.fetch(path, request.query ?? {}, init);
    await raiseForStatus(response);
    try {
      return await response.json();
    } catch (error) {
      throw isAbort(error) ? error : notOurs(response);
    }
  }

  /** Make a request; `base`: where its path begins, at the user's server. */
  async fetch(path: string, query: Query, init: RequestInit, base = BASE): Promise<Response> {
    try {
      return await ServerConnection.makeRequest(this.url(path, query, base), init, this._settings);
    } catch (error) {
      if (isAbort(error) || init.signal?.aborted) {
        throw new DOMException('Nobody waits for this any more.', 'AbortError');
      }
      throw new ApiError('This page cannot reach its server: is it running, and are you online?', 'offline', 0);
    }
  }

  /** The address of a path, as a browser takes it. */
  url(path: string, query: Query, base = BASE): string {
    const pairs = Object.entries(query).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).filter(one => one !== undefined).map(one => [key, String(one)])
    );
    const text = new URLSearchParams(pairs).toString();
    // Not joined: the empty path and what is escaped in names have to stay as they are.
    return URLExt.join(this._settings.baseUrl, base) + path + (text && `?${text}`);
  }
}
