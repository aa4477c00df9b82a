/** The line that pulls the active build as a container image, where the service offers images. */
import { Clipboard } from '@jupyterlab/apputils';
import { copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { pullLine } from '../images';
import type { RegistryPlace } from '../tokens';
import { IconButton } from './common';
import type { IShownProps } from './pageprops';

export function ImageLine({ trans, view }: IShownProps): JSX.Element | null {
  const [place, setPlace] = React.useState<RegistryPlace | null>(null);
  const [copied, setCopied] = React.useState(false);
  const { api } = view.model;
  React.useEffect(() => {
    let isShown = true;
    // Who has no such line misses nothing that they need: what else fails is said elsewhere.
    api.registry().then(
      found => isShown && setPlace(found),
      () => undefined
    );
    return () => {
      isShown = false;
    };
  }, [api]);
  const line = pullLine(place, window.location, view.target);
  if (line === null) {
    return null;
  }
  return (
    <div className="csh-Copied">
      <code aria-label={trans.__('The line that pulls it as a container image')}>{line}</code>
      <IconButton
        icon={copyIcon}
        label={trans.__('Copy the line that pulls the image')}
        onClick={() => {
          Clipboard.copyToSystem(line);
          setCopied(true);
        }}
      />
      <span role="status">{copied && trans.__('Copied.')}</span>
    </div>
  );
}
