/** What stands on the page of an environment. */
import { buildIcon, copyIcon, deleteIcon, editIcon, notebookIcon, shareIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { COMMANDS } from '../tokens';
import { sayNamespace } from '../words';
import { Active } from './active';
import { Builds } from './builds';
import { Button, Notice, Section, useSignal } from './common';
import { DetailView } from './detail';
import { PackagesSection } from './packages';
import type { IPageProps, IShownProps } from './pageprops';
import { Share } from './share';
import { States } from './states';

export function PageView(props: IPageProps): JSX.Element {
  const { view, trans } = props;
  useSignal(view.changed);
  useSignal(view.model.changed);
  const { environment } = view;
  return (
    <div className="csh-PageView">
      {view.problem && <Problem {...props} />}
      {environment && !view.isGone && <Shown {...props} environment={environment} />}
      {!environment && !view.problem && <p className="csh-Hint">{trans.__('Loading…')}</p>}
    </div>
  );
}

function Problem({ commands, trans, view }: IPageProps): JSX.Element {
  const { namespace, name } = view.target;
  if (view.isGone) {
    return (
      <Notice kind="warn">
        <p>{trans.__('There is no environment %1/%2 any more, or you may not know of it.', namespace, name)}</p>
        {view.model.may('environment::delete', namespace) && (
          <Button
            label={trans.__('Bring it back')}
            onClick={async () => {
              await commands.execute(COMMANDS.restoreEnvironment, { namespace, name });
              await view.refresh();
            }}
          />
        )}
      </Notice>
    );
  }
  return (
    <Notice kind="warn">
      <p>{view.problem?.message}</p>
      <Button label={trans.__('Try again')} onClick={() => view.refresh()} />
    </Notice>
  );
}

function Shown(props: IShownProps): JSX.Element {
  const { environment, trans, view } = props;
  return (
    <>
      <Header {...props} />
      <States {...props} />
      {environment.description && <p className="csh-Description">{environment.description}</p>}
      <Active {...props} />
      {environment.current_build && (
        <PackagesSection api={view.model.api} buildId={environment.current_build.id} trans={trans} />
      )}
      <Section title={trans.__('Builds')}>
        <Builds {...props} />
      </Section>
      {view.detail && <DetailView {...props} />}
      <Section title={trans.__('Sharing')} id="csh-sharing">
        <Share model={view.model} environment={environment} trans={trans} />
      </Section>
    </>
  );
}

function Header({ commands, environment, trans, view }: IShownProps): JSX.Element {
  const args = { ...view.target };
  const [namespace, name] = [args.namespace, args.name];
  const mayUpdate = view.model.may('environment::update', namespace, name);
  const mayDelete = view.model.may('environment::delete', namespace, name);
  const run = (id: string) => () => commands.execute(id, args);
  return (
    <div className="csh-PageView-header">
      <h1>
        <span className="csh-Dim">{sayNamespace(environment.namespace, trans)} / </span>
        {environment.name}
      </h1>
      <div className="csh-Buttons" role="toolbar" aria-label={trans.__('Actions')}>
        {view.model.kernels(args).length > 0 && (
          <Button accept icon={notebookIcon} label={trans.__('New notebook')} onClick={run(COMMANDS.openNotebook)} />
        )}
        {mayUpdate && commands.hasCommand(COMMANDS.editEnvironment) && (
          <Button icon={editIcon} label={trans.__('Edit')} onClick={run(COMMANDS.editEnvironment)} />
        )}
        {mayUpdate && <Button icon={buildIcon} label={trans.__('Rebuild')} onClick={run(COMMANDS.rebuild)} />}
        <Button icon={shareIcon} label={trans.__('Share')} onClick={run(COMMANDS.share)} />
        <Button icon={copyIcon} label={trans.__('Copy…')} onClick={run(COMMANDS.clone)} />
        {mayUpdate && <Button label={trans.__('Rename…')} onClick={run(COMMANDS.rename)} />}
        {mayDelete && (
          <Button icon={deleteIcon} label={trans.__('Delete')} onClick={run(COMMANDS.deleteEnvironment)} />
        )}
      </div>
    </div>
  );
}
