/** The files of a build, to download; and what there is of them to do. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { downloadIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { type IDownload, listDownloads } from '../downloads';
import { type ArtifactType, type Build, COMMANDS } from '../tokens';
import type { EnvironmentView } from '../view';
import { saySize } from '../words';
import { Button } from './common';

export interface IDownloadsProps {
  readonly build: Build;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
  readonly view: EnvironmentView;
}

export function Downloads(props: IDownloadsProps): JSX.Element | null {
  const { build, trans } = props;
  const downloads = listDownloads(build);
  if (downloads.length === 0) {
    return null;
  }
  return (
    <ul className="csh-Downloads" aria-label={trans.__('Downloads')}>
      {downloads.map(one => (
        <li key={one.type}>
          <Download {...props} download={one} />
        </li>
      ))}
    </ul>
  );
}

function Download(props: IDownloadsProps & { readonly download: IDownload }): JSX.Element {
  const { build, commands, download, trans, view } = props;
  const { address, note, size, state, type } = download;
  const words: Partial<Record<ArtifactType, string>> = {
    YAML: trans.__('Pinned YAML'),
    LOCKFILE: trans.__('Lock file'),
    EXPLICIT: trans.__('Explicit list'),
    PIXI_LOCK: trans.__('pixi.lock'),
    SBOM: trans.__('SBOM'),
    CONDA_PACK: trans.__('Archive'),
    OCI_ARCHIVE: trans.__('Container image')
  };
  const name = words[type] ?? download.file;
  if (state === 'pending') {
    return <span className="csh-Dim">{trans.__('%1: is being made', name)}</span>;
  }
  if (state === 'failed') {
    const args = { ...view.target, buildId: build.id, type };
    return (
      <>
        <span className="csh-Dim" title={note ?? undefined}>
          {trans.__('%1: could not be made', name)}
        </span>{' '}
        {view.model.may('environment::update', args.namespace, args.name) && (
          <Button
            label={trans.__('Try again')}
            title={trans.__('Have it made again: %1', name)}
            onClick={async () => {
              await commands.execute(COMMANDS.makeArtifact, args);
              await view.refresh();
            }}
          />
        )}
      </>
    );
  }
  const hint = state === 'further' ? trans.__('It is made when it is first downloaded, which may take a while.') : note;
  return (
    <>
      <a href={view.model.api.fileUrl(address)} title={hint ?? undefined} download>
        <downloadIcon.react tag="span" elementSize="normal" />
        {name}
      </a>
      {size !== null && <span className="csh-Dim"> {saySize(size)}</span>}
    </>
  );
}
