/** The kernels of environments, as the server lists them and as they run. */
import type { Kernel, KernelSpec } from '@jupyterlab/services';
import { followName, pinOf } from '../kernels';
import type { IEnvironmentArgs, IEnvironmentKernel } from '../tokens';

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
    const names = new Set(this._listed(environment).map(one => followName(one.kernelName)));
    let count = 0;
    for (const model of this._sources.kernels.running()) {
      count += names.has(followName(model.name)) ? 1 : 0;
    }
    return count;
  }

  /** The environment and build that a kernel's name stands for; null for one that is of none. */
  find(kernelName: string): (IEnvironmentArgs & { readonly buildId: number }) | null {
    const follows = followName(kernelName);
    for (const [full, kernels] of this._all()) {
      const found = kernels.find(one => one.kernelName === kernelName) ?? kernels.find(one => one.kernelName === follows);
      if (found) {
        const slash = full.indexOf('/');
        const buildId = pinOf(kernelName) ?? found.buildId;
        return { namespace: full.slice(0, slash), name: full.slice(slash + 1), buildId };
      }
    }
    return null;
  }

  /** What the server lists of an environment, pinned ones too. */
  private _listed(environment: IEnvironmentArgs): readonly IEnvironmentKernel[] {
    return this._all().get(`${environment.namespace}/${environment.name}`) ?? [];
  }

  /** The kernels that the server lists, by the full name of their environment. */
  private _all(): ReadonlyMap<string, readonly IEnvironmentKernel[]> {
    if (this._byName === null) {
      const found = new Map<string, IEnvironmentKernel[]>();
      for (const spec of Object.values(this._sources.kernelspecs.specs?.kernelspecs ?? {})) {
        const about = spec && readMetadata(spec);
        if (about) {
          found.set(about.full, [...(found.get(about.full) ?? []), about.kernel]);
        }
      }
      this._byName = found;
    }
    return this._byName;
  }

  private _byName: ReadonlyMap<string, readonly IEnvironmentKernel[]> | null = null;
}

/** What `conda_store_hub.lab.specs` writes into a kernel spec; null for kernels that are not of an environment. */
function readMetadata(spec: KernelSpec.ISpecModel): { full: string; kernel: IEnvironmentKernel } | null {
  const metadata = spec.metadata ?? {};
  const ours = metadata['conda_store_hub'] as { readonly build_id?: number } | undefined;
  if (typeof ours?.build_id !== 'number') {
    return null;
  }
  return {
    full: `${String(metadata['Namespace'])}/${String(metadata['conda_env_name'])}`,
    kernel: {
      kernelName: spec.name,
      displayName: spec.display_name,
      language: spec.language,
      buildId: ours.build_id
    }
  };
}
