/** What can be downloaded of a build: what is there, what is made when it is asked for, and what could not be made. */
import type { Artifact, ArtifactType, Build } from './tokens';

/** The order in which people look for them; what the service has besides comes last. */
const ORDER: readonly ArtifactType[] = ['YAML', 'LOCKFILE', 'EXPLICIT', 'PIXI_LOCK', 'SBOM', 'CONDA_PACK', 'OCI_ARCHIVE'];

export interface IDownload {
  readonly type: ArtifactType;
  /** `further`: it is made when somebody first downloads it. */
  readonly state: 'ready' | 'further' | 'pending' | 'failed';
  /** Below the service's address. */
  readonly address: string;
  /** What the file is called. */
  readonly file: string;
  /** Bytes. */
  readonly size: number | null;
  /** What it lacks, or why it could not be made. */
  readonly note: string | null;
}

/** The files of a build that have an address, each once. */
export function listDownloads(build: Build): readonly IDownload[] {
  const made = [...build.build_artifacts, ...(build.unfinished_artifacts ?? [])].flatMap(one => describe(one));
  const further = (build.further_artifacts ?? []).map(
    (one): IDownload => ({
      type: one.artifact_type,
      state: 'further',
      address: one.address,
      file: fileOf(one.address),
      size: null,
      note: null
    })
  );
  const all = [...made, ...further];
  const place = (type: ArtifactType) => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  return all
    .filter((one, index) => all.findIndex(other => other.type === one.type) === index)
    .sort((one, other) => place(one.type) - place(other.type));
}

function describe(artifact: Artifact): IDownload[] {
  const states = { READY: 'ready', PENDING: 'pending', FAILED: 'failed', DELETED: null } as const;
  const { address, artifact_type: type } = artifact;
  const state = states[artifact.state];
  if (address == null || state === null) {
    return [];
  }
  const note = artifact.error ?? artifact.note ?? null;
  return [{ type, state, address, file: fileOf(address), size: artifact.size ?? null, note }];
}

function fileOf(address: string): string {
  return address.slice(address.lastIndexOf('/') + 1);
}
