/** The kernels of environments, as the server lists them and as they run. */
import type { Kernel, KernelSpec } from '@jupyterlab/services';
import { followName, pinOf } from '../kernels';
import type { IEnvironmentArgs, IEnvironmentKernel } from '../tokens';

/** A kernel with the names that start it too: of its environment before it was renamed. */
interface IListed extends IEnvironmentKernel {
  readonly aliases: readonly string[];
}

export interface IKernelSources {
  readonly kernelspecs: Pick<KernelSpec.IManager, 'specs' | 'specsChanged' | 'refreshSpecs'>;
  readonly kernels: Pick<Kernel.IManager, 'running' | 'runningChanged'>;
}

export class KernelIndex {
  constructor(private readonly _sources: IKernelSources) {}

  /** Whether the server's list is there. */
  get isThere(): boolean {
    return this._sources.kernelspecs.specs !== null;
  }

  /** Have the server's list read anew. */
  forget(): void {
    this._byName = null;
  }

  /** The kernels that an environment offers to new notebooks. */
  offered(environment: IEnvironmentArgs): readonly IEnvironmentKernel[] {
    // What is pinned to a build is listed too, so that Lab opens its notebooks; new ones follow the active build.
    return this._listed(environment).filter(one => pinOf(one.kernelName) === null);
  }

  /** How many kernels run in an environment. */
  countRunning(environment: IEnvironmentArgs): number {
    const names = new Set(this._listed(environment).flatMap(one => [followName(one.kernelName), ...one.aliases]));
    let count = 0;
    for (const model of this._sources.kernels.running()) {
      count += names.has(followName(model.name)) ? 1 : 0;
    }
    return count;
  }

  /** The environment and build that a kernel's name stands for; null for one that is of none. */
  find(kernelName: string): (IEnvironmentArgs & { readonly buildId: number }) | null {
    const follows = followName(kernelName);
    const found =
      this._findListed(one => one.kernelName === kernelName) ??
      this._findListed(one => one.kernelName === follows) ??
      this._findListed(one => one.aliases.includes(follows));
    if (!found) {
      return null;
    }
    const slash = found.full.indexOf('/');
    const buildId = pinOf(kernelName) ?? found.kernel.buildId;
    return { namespace: found.full.slice(0, slash), name: found.full.slice(slash + 1), buildId };
  }

  private _findListed(isMeant: (kernel: IListed) => boolean): { full: string; kernel: IListed } | null {
    for (const [full, kernels] of this._all()) {
      const kernel = kernels.find(isMeant);
      if (kernel) {
        return { full, kernel };
      }
    }
    return null;
  }

  /** What the server lists of an environment, pinned ones too. */
  private _listed(environment: IEnvironmentArgs): readonly IListed[] {
    return this._all().get(`${environment.namespace}/${environment.name}`) ?? [];
  }

  /** The kernels that the server lists, by the full name of their environment. */
  private _all(): ReadonlyMap<string, readonly IListed[]> {
    if (this._byName === null) {
      const found = new Map<string, IListed[]>();
      const specs = this._sources.kernelspecs.specs?.kernelspecs ?? {};
      for (const spec of Object.values(specs)) {
        const about = spec && readMetadata(spec);
        if (about) {
          // A name that another environment has by now stands for that.
          const aliases = about.kernel.aliases.filter(one => !(one in specs));
          found.set(about.full, [...(found.get(about.full) ?? []), { ...about.kernel, aliases }]);
        }
      }
      this._byName = found;
    }
    return this._byName;
  }

  private _byName: ReadonlyMap<string, readonly IListed[]> | null = null;
}

/** What `conda_store_hub.lab.specs` writes into a kernel spec; null for kernels that are not of an environment. */
function readMetadata(spec: KernelSpec.ISpecModel): { full: string; kernel: IListed } | null {
  const metadata = spec.metadata ?? {};
  const ours = metadata['conda_store_hub'] as
    | { readonly build_id?: number; readonly aliases?: readonly string[] }
    | undefined;
  if (typeof ours?.build_id !== 'number') {
    return null;
  }
  return {
    full: `${String(metadata['Namespace'])}/${String(metadata['conda_env_name'])}`,
    kernel: {
      kernelName: spec.name,
      displayName: spec.display_name,
      language: spec.language,
      buildId: ours.build_id,
      aliases: ours.aliases ?? []
    }
  };
}
