/** The service's API through the user's server: the only file that makes requests. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';
import type {
  ActivateBuild,
  ArtifactType,
  Build,
  BuildId,
  BuildStatus,
  BuildSummary,
  ChannelPackage,
  ChannelProblem,
  DepartedPackages,
  Environment,
  ErrorAnswer,
  FoundPackage,
  GrantRole,
  IApi,
  IEnvironmentArgs,
  IPage,
  IPaging,
  IRunningKernel,
  ISearchPage,
  LogEvent,
  Member,
  NamespaceDetails,
  NamespaceSummary,
  Package,
  PackageDiff,
  PermissionSummary,
  Phase,
  Rebuild,
  Setting,
  SolvedSpecification,
  SolveSpecification,
  SubmitSpecification,
  Usage
} from './tokens';

/** Where the service is at the user's server. */
const SERVICE = 'conda-store-hub/';
const BASE = `${SERVICE}api/v1/`;
/** What the server itself answers. */
const RUNNING = `${SERVICE}api/running`;
const MAKING = `${SERVICE}api/making/`;
/** Milliseconds between two attempts to follow a log, doubled with each that brings nothing. */
const PAUSE = 1000;
const LONGEST_PAUSE = 15000;
/** An answer that is an event stream and brings no event in this time is held back by something between. */
const SILENCE = 60000;

/** Why something was refused or failed: a sentence for people, and a stable code. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** Where in the text as typed, counting from 1. */
    readonly line: number | null = null,
    readonly column: number | null = null,
    /** The solver's own words, over several lines. */
    readonly detail: string | null = null
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Whether the service is out of reach, so that the same may work later. */
  get isOutage(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  /** Whether one is logged out of the server that this page came from. */
  get isLoggedOut(): boolean {
    return this.code === 'logged-out';
  }
}

type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

interface IListAnswer<T> {
  readonly data: readonly T[];
  readonly count: number;
  readonly problems?: readonly ChannelProblem[];
}

interface IRequest {
  readonly query?: Query;
  readonly body?: object;
  readonly signal?: AbortSignal | undefined;
}

export class Api implements IApi {
  readonly begun: ISignal<this, number>;

  constructor(private readonly _settings: ServerConnection.ISettings) {
    this.begun = this._begun = new Signal(this);
  }

  permissions(): Promise<PermissionSummary> {
    return this._data('GET', 'permission/');
  }

  namespaces(paging: IPaging = {}): Promise<IPage<NamespaceSummary>> {
    return this._page('namespace/', { ...paging });
  }

  namespace(name: string): Promise<NamespaceDetails> {
    return this._data('GET', place(name));
  }

  usage(paging: IPaging = {}): Promise<Readonly<Record<string, Usage>>> {
    return this._data('GET', 'usage/', { query: { ...paging } });
  }

  environments(
    query: IPaging & { readonly namespace?: string; readonly search?: string; readonly status?: BuildStatus },
    signal?: AbortSignal
  ): Promise<IPage<Environment>> {
    return this._page('environment/', { size: 100, page: 1, ...query }, signal);
  }

  environment(namespace: string, name: string): Promise<Environment> {
    return this._data('GET', place(namespace, name));
  }

  change(namespace: string, name: string, change: ActivateBuild): Promise<void> {
    return this._data('PUT', place(namespace, name), { body: change });
  }

  rename(namespace: string, name: string, newName: string): Promise<void> {
    return this._data('PUT', `${place(namespace, name)}rename/`, { body: { name: newName } });
  }

  clone(namespace: string, name: string, target: IEnvironmentArgs): Promise<number> {
    const body = { namespace: target.namespace, name: target.name };
    return this._begin('POST', `${place(namespace, name)}clone/`, body);
  }

  deleteEnvironment(namespace: string, name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    return this._data('DELETE', place(namespace, name), { query: options });
  }

  restoreEnvironment(namespace: string, name: string, newName?: string): Promise<Environment> {
    return this._data('PUT', `${place(namespace, name)}restore/`, { body: newName ? { name: newName } : {} });
  }

  settings(namespace: string, name?: string): Promise<Readonly<Record<string, Setting>>> {
    const path = ['setting', namespace, ...(name === undefined ? [] : [name])].map(encodeURIComponent);
    return this._data('GET', `${path.join('/')}/`);
  }

  builds(
    query: IPaging & { readonly environmentId?: number; readonly status?: BuildStatus; readonly after?: number }
  ): Promise<IPage<BuildSummary>> {
    const { environmentId, ...rest } = query;
    return this._page('build/', { ...rest, environment_id: environmentId });
  }

  build(id: number): Promise<Build> {
    return this._data('GET', `build/${id}/`);
  }

  rebuild(id: number, options: Rebuild = {}): Promise<number> {
    return this._begin('PUT', `build/${id}/`, options);
  }

  cancel(id: number): Promise<void> {
    return this._data('PUT', `build/${id}/cancel/`);
  }

  pin(id: number, pinned: boolean): Promise<void> {
    return this._data('PUT', `build/${id}/pin/`, { body: { pinned } });
  }

  deleteBuild(id: number, options: { readonly force?: boolean } = {}): Promise<void> {
    return this._data('DELETE', `build/${id}/`, { query: options });
  }

  packages(
    id: number,
    query: IPaging & { readonly search?: string; readonly why?: boolean } = {}
  ): Promise<IPage<Package>> {
    return this._page(`build/${id}/packages/`, { ...query });
  }

  departed(id: number): Promise<DepartedPackages> {
    return this._data('GET', `build/${id}/departed/`);
  }

  diff(id: number, other: number): Promise<PackageDiff> {
    return this._data('GET', `build/${id}/diff/${other}/`);
  }

  async members(namespace: string, name?: string): Promise<readonly Member[]> {
    return (await this._page<Member>(`${place(namespace, name)}member/`, {})).items;
  }

  grant(request: GrantRole, namespace: string, name?: string): Promise<Member> {
    return this._data('PUT', `${place(namespace, name)}member/`, { body: request });
  }

  revoke(memberId: number, namespace: string, name?: string): Promise<void> {
    return this._data('DELETE', `${place(namespace, name)}member/${memberId}/`);
  }

  submit(request: SubmitSpecification): Promise<number> {
    return this._begin('POST', 'specification/', request);
  }

  solve(request: SolveSpecification, signal?: AbortSignal): Promise<SolvedSpecification> {
    return this._data('POST', 'specification/solve/', { body: request, signal });
  }

  searchPackages(
    query: IPaging & { readonly search: string; readonly namespace?: string; readonly channels?: readonly string[] },
    signal?: AbortSignal
  ): Promise<ISearchPage<FoundPackage>> {
    const { channels, ...rest } = query;
    return this._page('package/', { ...rest, channel: channels }, signal);
  }

  packageVersions(
    name: string,
    query: IPaging & { readonly namespace?: string; readonly channels?: readonly string[] },
    signal?: AbortSignal
  ): Promise<ISearchPage<ChannelPackage>> {
    const { channels, ...rest } = query;
    return this._page(`package/${encodeURIComponent(name)}/`, { ...rest, channel: channels }, signal);
  }

  async running(): Promise<readonly IRunningKernel[] | null> {
    const response = await this._fetch(RUNNING, {}, {}, '');
    if (response.status === 404) {
      return null; // an older server
    }
    await raiseForStatus(response);
    return ((await response.json()) as { readonly kernels: readonly IRunningKernel[] }).kernels;
  }

  async cancelMaking(kernelId: string): Promise<void> {
    await raiseForStatus(await this._fetch(encodeURIComponent(kernelId), {}, { method: 'DELETE' }, MAKING));
  }

  makeArtifact(id: number, type: ArtifactType): Promise<void> {
    return this._data('POST', `build/${id}/artifact/`, { body: { artifact_type: type } });
  }

  fileUrl(address: string): string {
    return this._url(address, {}, SERVICE);
  }

  logUrl(id: number): string {
    return this._url(`build/${id}/logs/`, {});
  }

  async *followLog(id: number, offset: number, signal: AbortSignal): AsyncGenerator<LogEvent> {
    let pause = PAUSE;
    while (!signal.aborted) {
      try {
        for await (const event of this._stream(id, offset, signal)) {
          pause = PAUSE;
          if (event.kind === 'log') {
            offset = event.offset;
          }
          yield event;
          if (event.kind === 'end') {
            return;
          }
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof ApiError) || !error.isOutage) {
          throw error;
        }
      }
      await sleep(pause, signal);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  /** The events of one connection. One that is silent is given up, and what is there is read without it. */
  private async *_stream(id: number, offset: number, signal: AbortSignal): AsyncGenerator<LogEvent> {
    const broken = new AbortController();
    const end = () => broken.abort();
    signal.addEventListener('abort', end);
    let timer = setTimeout(end, SILENCE);
    try {
      const init = { headers: { Accept: 'text/event-stream' }, signal: broken.signal };
      const response = await this._fetch(`build/${id}/logs/`, { offset }, init);
      await raiseForStatus(response);
      for await (const event of readEvents(response)) {
        clearTimeout(timer);
        timer = setTimeout(end, SILENCE);
        if (event) {
          yield event;
        }
      }
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) {
        throw error;
      }
      yield* this._readRest(id, offset);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      broken.abort();
    }
  }

  /** What there is of a log now, for where something between holds streams back. */
  private async *_readRest(id: number, offset: number): AsyncGenerator<LogEvent> {
    const response = await this._fetch(`build/${id}/logs/`, { offset }, { headers: { Accept: 'text/plain' } });
    await raiseForStatus(response);
    const text = await response.text();
    const build = await this.build(id);
    if (text) {
      yield { kind: 'log', text, offset: Number(response.headers.get('X-Log-Offset')) };
    }
    yield { kind: 'state', status: build.status, info: build.status_info ?? null };
    if (response.headers.get('X-Log-Complete') === 'true') {
      yield { kind: 'end' };
    }
  }

  private async _begin(method: string, path: string, body: object): Promise<number> {
    const { build_id } = await this._data<BuildId>(method, path, { body });
    this._begun.emit(build_id);
    return build_id;
  }

  private async _data<T>(method: string, path: string, request: IRequest = {}): Promise<T> {
    return ((await this._json(method, path, request)) as { readonly data: T }).data;
  }

  private async _page<T>(path: string, query: Query, signal?: AbortSignal): Promise<ISearchPage<T>> {
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
    const response = await this._fetch(path, request.query ?? {}, init);
    await raiseForStatus(response);
    try {
      return await response.json();
    } catch (error) {
      throw isAbort(error) ? error : notOurs(response);
    }
  }

  private async _fetch(path: string, query: Query, init: RequestInit, base = BASE): Promise<Response> {
    try {
      return await ServerConnection.makeRequest(this._url(path, query, base), init, this._settings);
    } catch (error) {
      if (isAbort(error) || init.signal?.aborted) {
        throw new DOMException('Nobody waits for this any more.', 'AbortError');
      }
      throw new ApiError('This page cannot reach its server: is it running, and are you online?', 'offline', 0);
    }
  }

  private _url(path: string, query: Query, base = BASE): string {
    const pairs = Object.entries(query).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).filter(one => one !== undefined).map(one => [key, String(one)])
    );
    const text = new URLSearchParams(pairs).toString();
    // Not joined: the empty path and what is escaped in names have to stay as they are.
    return URLExt.join(this._settings.baseUrl, base) + path + (text && `?${text}`);
  }

  private readonly _begun: Signal<this, number>;
}

function place(namespace: string, name?: string): string {
  const ours = encodeURIComponent(namespace);
  return name === undefined ? `namespace/${ours}/` : `environment/${ours}/${encodeURIComponent(name)}/`;
}

/** Throw what the service, its proxy or the user's server said. */
async function raiseForStatus(response: Response): Promise<void> {
  if (response.ok && !response.redirected) {
    return;
  }
  let said: Partial<ErrorAnswer> = {};
  try {
    said = await response.json();
  } catch {
    throw notOurs(response);
  }
  if (said.code === undefined) {
    // Not the service, but the server that this page came from.
    throw response.status === 403 ? loggedOut(response) : notOurs(response);
  }
  const message = said.message ?? `The answer was ${response.status}.`;
  throw new ApiError(message, said.code, response.status, said.line ?? null, said.column ?? null, said.detail ?? null);
}

function loggedOut(response: Response): ApiError {
  return new ApiError('You are logged out: load this page again to log in.', 'logged-out', response.status);
}

function notOurs(response: Response): ApiError {
  if (response.redirected) {
    return loggedOut(response);
  }
  const said =
    response.status === 404
      ? 'This server does not know of environments: the package conda-store-hub is missing or disabled in it.'
      : `The server answered ${response.status}, and not as expected.`;
  return new ApiError(said, 'unexpected-answer', response.ok ? 502 : response.status);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** Yield the events of a stream (WHATWG HTML, 9.2); null for a sign of life. */
async function* readEvents(response: Response): AsyncGenerator<LogEvent | null> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let held = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const blocks = (held + decoder.decode(value, { stream: true })).split('\n\n');
      held = blocks.pop() ?? '';
      yield null;
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) {
          yield event;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function parseEvent(block: string): LogEvent | null {
  const fields = new Map<string, string[]>();
  for (const line of block.split('\n')) {
    const [, name, value] = /^([a-z]+): ?(.*)$/s.exec(line) ?? [];
    if (name !== undefined) {
      fields.set(name, [...(fields.get(name) ?? []), value ?? '']);
    }
  }
  const data = (fields.get('data') ?? []).join('\n');
  switch (fields.get('event')?.[0]) {
    case 'log':
      return { kind: 'log', text: data, offset: Number(fields.get('id')?.[0]) };
    case 'state': {
      const state = JSON.parse(data) as { status: BuildStatus; status_info?: string | null };
      return { kind: 'state', status: state.status, info: state.status_info ?? null };
    }
    case 'progress':
      return { kind: 'progress', ...(JSON.parse(data) as { phase: Phase; done: number; total: number; unit: string }) };
    case 'end':
      return { kind: 'end' };
    default:
      return null;
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}
