/** The service's API, through the user's server. */
import type { ServerConnection } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';
import { PAGE } from '../tokens';
import type {
  ActivateBuild,
  ArtifactType,
  Build,
  BuildId,
  BuildStatus,
  BuildSummary,
  ChannelPackage,
  DepartedPackages,
  Environment,
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
  Rebuild,
  RegistryPlace,
  Setting,
  SolvedSpecification,
  SolveSpecification,
  SubmitSpecification,
  Usage,
  Version
} from '../tokens';
import { Connection, SERVICE } from './connection';
import { raiseForStatus } from './errors';
import { followLog } from './logs';

export { ApiError } from './errors';

/** What the server itself answers. */
const RUNNING = `${SERVICE}api/running`;
const MAKING = `${SERVICE}api/making/`;

export class Api implements IApi {
  readonly begun: ISignal<this, number>;

  constructor(settings: ServerConnection.ISettings) {
    this._connection = new Connection(settings);
    this.begun = this._begun = new Signal(this);
  }

  permissions(): Promise<PermissionSummary> {
    return this._connection.data('GET', 'permission/');
  }

  async registry(): Promise<RegistryPlace | null> {
    return (await this._connection.data<Version>('GET', '')).registry ?? null;
  }

  namespaces(paging: IPaging = {}): Promise<IPage<NamespaceSummary>> {
    return this._connection.page('namespace/', { ...paging });
  }

  namespace(name: string): Promise<NamespaceDetails> {
    return this._connection.data('GET', place(name));
  }

  usage(paging: IPaging = {}): Promise<Readonly<Record<string, Usage>>> {
    return this._connection.data('GET', 'usage/', { query: { ...paging } });
  }

  environments(
    query: IPaging & { readonly namespace?: string; readonly search?: string; readonly status?: BuildStatus },
    signal?: AbortSignal
  ): Promise<IPage<Environment>> {
    return this._connection.page('environment/', { size: 100, page: 1, ...query }, signal);
  }

  environment(namespace: string, name: string): Promise<Environment> {
    return this._connection.data('GET', place(namespace, name));
  }

  change(namespace: string, name: string, change: ActivateBuild): Promise<void> {
    return this._connection.data('PUT', place(namespace, name), { body: change });
  }

  rename(namespace: string, name: string, newName: string): Promise<void> {
    return this._connection.data('PUT', `${place(namespace, name)}rename/`, { body: { name: newName } });
  }

  clone(namespace: string, name: string, target: IEnvironmentArgs): Promise<number> {
    const body = { namespace: target.namespace, name: target.name };
    return this._begin('POST', `${place(namespace, name)}clone/`, body);
  }

  deleteEnvironment(namespace: string, name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    return this._connection.data('DELETE', place(namespace, name), { query: options });
  }

  restoreEnvironment(namespace: string, name: string, newName?: string): Promise<Environment> {
    return this._connection.data('PUT', `${place(namespace, name)}restore/`, { body: newName ? { name: newName } : {} });
  }

  settings(namespace: string, name?: string): Promise<Readonly<Record<string, Setting>>> {
    const path = ['setting', namespace, ...(name === undefined ? [] : [name])].map(encodeURIComponent);
    return this._connection.data('GET', `${path.join('/')}/`);
  }

  builds(
    query: IPaging & { readonly environmentId?: number; readonly status?: BuildStatus; readonly after?: number }
  ): Promise<IPage<BuildSummary>> {
    const { environmentId, ...rest } = query;
    return this._connection.page('build/', { ...rest, environment_id: environmentId });
  }

  build(id: number): Promise<Build> {
    return this._connection.data('GET', `build/${id}/`);
  }

  rebuild(id: number, options: Rebuild = {}): Promise<number> {
    return this._begin('PUT', `build/${id}/`, options);
  }

  cancel(id: number): Promise<void> {
    return this._connection.data('PUT', `build/${id}/cancel/`);
  }

  pin(id: number, pinned: boolean): Promise<void> {
    return this._connection.data('PUT', `build/${id}/pin/`, { body: { pinned } });
  }

  deleteBuild(id: number, options: { readonly force?: boolean } = {}): Promise<void> {
    return this._connection.data('DELETE', `build/${id}/`, { query: options });
  }

  packages(
    id: number,
    query: IPaging & { readonly search?: string; readonly why?: boolean } = {}
  ): Promise<IPage<Package>> {
    return this._connection.page(`build/${id}/packages/`, { ...query });
  }

  departed(id: number): Promise<DepartedPackages> {
    return this._connection.data('GET', `build/${id}/departed/`);
  }

  diff(id: number, other: number): Promise<PackageDiff> {
    return this._connection.data('GET', `build/${id}/diff/${other}/`);
  }

  async members(namespace: string, name?: string): Promise<readonly Member[]> {
    const found: Member[] = [];
    for (;;) {
      const after = found[found.length - 1]?.id ?? undefined; // what changes meanwhile moves nobody out of the list
      const { items } = await this._connection.page<Member>(`${place(namespace, name)}member/`, { after, size: PAGE });
      found.push(...items);
      if (items.length < PAGE) {
        return found; // all of them: who has a role has to be seen, and to lose it
      }
    }
  }

  grant(request: GrantRole, namespace: string, name?: string): Promise<Member> {
    return this._connection.data('PUT', `${place(namespace, name)}member/`, { body: request });
  }

  revoke(memberId: number, namespace: string, name?: string): Promise<void> {
    return this._connection.data('DELETE', `${place(namespace, name)}member/${memberId}/`);
  }

  submit(request: SubmitSpecification): Promise<number> {
    return this._begin('POST', 'specification/', request);
  }

  solve(request: SolveSpecification, signal?: AbortSignal): Promise<SolvedSpecification> {
    return this._connection.data('POST', 'specification/solve/', { body: request, signal });
  }

  searchPackages(
    query: IPaging & { readonly search: string; readonly namespace?: string; readonly channels?: readonly string[] },
    signal?: AbortSignal
  ): Promise<ISearchPage<FoundPackage>> {
    const { channels, ...rest } = query;
    return this._connection.page('package/', { ...rest, channel: channels }, signal);
  }

  packageVersions(
    name: string,
    query: IPaging & { readonly namespace?: string; readonly channels?: readonly string[] },
    signal?: AbortSignal
  ): Promise<ISearchPage<ChannelPackage>> {
    const { channels, ...rest } = query;
    return this._connection.page(`package/${encodeURIComponent(name)}/`, { ...rest, channel: channels }, signal);
  }

  async running(): Promise<readonly IRunningKernel[] | null> {
    const response = await this._connection.fetch(RUNNING, {}, {}, '');
    if (response.status === 404) {
      return null; // an older server
    }
    await raiseForStatus(response);
    return ((await response.json()) as { readonly kernels: readonly IRunningKernel[] }).kernels;
  }

  async cancelMaking(kernelId: string): Promise<void> {
    await raiseForStatus(await this._connection.fetch(encodeURIComponent(kernelId), {}, { method: 'DELETE' }, MAKING));
  }

  makeArtifact(id: number, type: ArtifactType): Promise<void> {
    return this._connection.data('POST', `build/${id}/artifact/`, { body: { artifact_type: type } });
  }

  fileUrl(address: string): string {
    return this._connection.url(address, {}, SERVICE);
  }

  logUrl(id: number): string {
    return this._connection.url(`build/${id}/logs/`, {});
  }

  followLog(id: number, offset: number, signal: AbortSignal): AsyncGenerator<LogEvent> {
    return followLog(this._connection, id, offset, signal);
  }

  private async _begin(method: string, path: string, body: object): Promise<number> {
    const { build_id } = await this._connection.data<BuildId>(method, path, { body });
    this._begun.emit(build_id);
    return build_id;
  }

  private readonly _connection: Connection;
  private readonly _begun: Signal<this, number>;
}

function place(namespace: string, name?: string): string {
  const ours = encodeURIComponent(namespace);
  return name === undefined ? `namespace/${ours}/` : `environment/${ours}/${encodeURIComponent(name)}/`;
}
