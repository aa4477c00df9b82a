/** What is being made on the user's machine, and its end. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { sayMaking } from '../notices';
import { COMMANDS, type IEnvironments } from '../tokens';
import { Button, Notice, useSignal } from './common';

export function Makings(props: {
  readonly model: IEnvironments;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { commands, model, trans } = props;
  useSignal(model.makings.changed);
  return (
    <>
      {model.makings.current.map(({ kernels, news }) => (
        <Notice key={news.build_id} kind="info">
          <p>{sayMaking(news, trans)}</p>
          {kernels.length > 1 && <p>{trans.__('%1 kernels wait for it.', kernels.length)}</p>}
          <Button
            label={trans.__('Cancel')}
            title={trans.__('No longer make %1: no kernel that waits for it starts', news.environment)}
            onClick={() => commands.execute(COMMANDS.cancelMaking, { kernelId: kernels[0]! })}
          />
        </Notice>
      ))}
    </>
  );
}
