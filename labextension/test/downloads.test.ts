/** What is offered of a build's files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listDownloads } from '../src/downloads';
import type { Artifact, ArtifactState, ArtifactType, Build } from '../src/tokens';

function artifact(type: ArtifactType, state: ArtifactState, file: string | null, more: Partial<Artifact> = {}): Artifact {
  const address = file === null ? null : `api/v1/build/7/${file}`;
  return { id: 1, build_id: 7, artifact_type: type, state, key: '', address, ...more };
}

function list(build: Partial<Build>): string[] {
  const found = listDownloads({ build_artifacts: [], ...build } as unknown as Build);
  return found.map(one => `${one.type} ${one.state} ${one.address}`);
}

test('whatever has an address can be downloaded, of whatever kind, in the order of people', () => {
  const build_artifacts = [
    artifact('CONDA_PACK', 'READY', 'environment.tar.gz'),
    artifact('LOGS', 'READY', null),
    artifact('EXPLICIT', 'READY', 'explicit.txt'),
    artifact('SBOM', 'READY', 'sbom.cdx.json'),
    artifact('NEW' as ArtifactType, 'READY', 'new.json'),
    artifact('PIXI_LOCK', 'READY', 'pixi.lock'),
    artifact('YAML', 'READY', 'environment.yaml')
  ];
  assert.deepEqual(list({ build_artifacts }), [
    'YAML ready api/v1/build/7/environment.yaml',
    'EXPLICIT ready api/v1/build/7/explicit.txt',
    'PIXI_LOCK ready api/v1/build/7/pixi.lock',
    'SBOM ready api/v1/build/7/sbom.cdx.json',
    'CONDA_PACK ready api/v1/build/7/environment.tar.gz',
    'NEW ready api/v1/build/7/new.json'
  ]);
});

test('what is made when it is asked for is offered, and what goes on is told from what failed', () => {
  const unfinished_artifacts = [
    artifact('PIXI_LOCK', 'FAILED', 'pixi.lock', { error: 'The disk was full.' }),
    artifact('LOCKFILE', 'PENDING', 'conda-lock.yml'),
    artifact('YAML', 'DELETED', 'environment.yaml'),
    artifact('RECORDS', 'FAILED', null)
  ];
  const further_artifacts = [
    { artifact_type: 'EXPLICIT', address: 'api/v1/build/7/explicit.txt' },
    // One that has failed may be listed here too.
    { artifact_type: 'PIXI_LOCK', address: 'api/v1/build/7/pixi.lock' }
  ] as const;
  assert.deepEqual(list({ unfinished_artifacts, further_artifacts }), [
    'LOCKFILE pending api/v1/build/7/conda-lock.yml',
    'EXPLICIT further api/v1/build/7/explicit.txt',
    'PIXI_LOCK failed api/v1/build/7/pixi.lock'
  ]);
});
