/** What people should know of an environment before they wonder. */
import * as React from 'react';
import { COMMANDS, isActive } from '../tokens';
import { sayWhoShares } from '../words';
import { Button, Notice } from './common';
import type { IShownProps } from './pageprops';

export function States({ commands, environment, trans, view }: IShownProps): JSX.Element {
  const { model, target } = view;
  const [latest] = view.builds;
  const isUsable = environment.current_build_id !== null;
  const mayUpdate = model.may('environment::update', target.namespace, target.name);
  // Not while something is built, which may be just that.
  const isQuiet = !isActive(latest?.status);
  const lacksKernel = isUsable && isQuiet && model.knowsKernels && model.kernels(target).length === 0;
  return (
    <>
      {!mayUpdate && (
        <Notice kind="info">
          {trans.__(
            'You may use this environment, not change it. The right to can be given by %1.',
            sayWhoShares(environment.namespace, trans)
          )}
        </Notice>
      )}
      {environment.watched_file && (
        <Notice kind="info">
          {trans.__('It follows the file %1: what is changed here lasts until that changes.', environment.watched_file)}
        </Notice>
      )}
      {latest?.status === 'QUEUED' && (
        <Notice kind="info">
          {trans.__('Build %1 waits: it is number %2 in the queue.', latest.id, latest.position ?? '?')}
        </Notice>
      )}
      {latest?.status === 'FAILED' && (
        <Notice kind="warn">
          <p>
            {isUsable
              ? trans.__('Build %1 failed; build %2 is still the active one.', latest.id, environment.current_build_id)
              : trans.__('Build %1 failed, so there is nothing to use yet.', latest.id)}
          </p>
          {latest.status_info && <p>{latest.status_info}</p>}
        </Notice>
      )}
      {lacksKernel && (
        <Notice kind="info">
          <p>{trans.__('No notebook can run in it: none of its packages brings a kernel.')}</p>
          {mayUpdate && (
            <Button
              accept
              label={trans.__('Add ipykernel and build')}
              onClick={() => commands.execute(COMMANDS.addKernel, { ...target })}
            />
          )}
        </Notice>
      )}
    </>
  );
}
