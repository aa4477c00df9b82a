/** What stands above a specification: where it goes, what can be done with it, and what is wrong. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { fileUploadIcon, HTMLSelect } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { listOthers, sayBeginning } from '../beginning';
import type { IDraft } from '../drafts';
import type { Editing } from '../editing';
import { type IFault, read } from '../reading';
import { COMMANDS, type IEnvironments } from '../tokens';
import { sayWhen } from '../words';
import { Button, Notice, useSignal } from './common';

export type View = 'lists' | 'text' | 'both';

export interface IEditorHeaderProps {
  readonly editing: Editing;
  readonly model: IEnvironments;
  readonly commands: CommandRegistry;
  readonly view: View;
  readonly onView: (view: View) => void;
  readonly onFault: (fault: IFault) => void;
  readonly trans: TranslationBundle;
}

export function EditorHeader(props: IEditorHeaderProps): JSX.Element {
  const { editing, trans } = props;
  useSignal(editing.changed);
  useSignal(props.model.changed);
  return (
    <>
      <h2>
        {editing.target
          ? trans.__('Specification of %1', `${editing.target.namespace}/${editing.target.name}`)
          : trans.__('A new environment')}
      </h2>
      <div className="csh-Editor-bar">
        {editing.target === null && <Place {...props} />}
        <Views {...props} />
        <FileButton editing={editing} trans={trans} />
        <Actions {...props} />
      </div>
      <Told {...props} />
    </>
  );
}

/** Where it goes: only namespaces that one may make environments in are offered. */
function Place({ editing, model, trans }: IEditorHeaderProps): JSX.Element {
  const offered = model.writableNamespaces;
  const shown = offered.includes(editing.namespace) || !editing.namespace ? offered : [editing.namespace, ...offered];
  React.useEffect(() => {
    if (!editing.namespace && offered[0]) {
      editing.namespace = offered[0];
    }
  });
  return (
    <>
      <label>
        {trans.__('Namespace')}{' '}
        <HTMLSelect
          value={editing.namespace}
          options={shown.map(value => ({ label: value, value }))}
          aria-label={trans.__('Namespace')}
          onChange={event => (editing.namespace = event.target.value)}
        />
      </label>
      <label>
        {trans.__('Name')}{' '}
        <input
          className="jp-mod-styled"
          spellCheck={false}
          value={editing.name}
          onChange={event => (editing.name = event.target.value.trim())}
        />
      </label>
    </>
  );
}

function Views({ view, onView, trans }: IEditorHeaderProps): JSX.Element {
  const all: readonly [View, string][] = [
    ['lists', trans.__('Lists')],
    ['text', trans.__('Text')],
    ['both', trans.__('Both')]
  ];
  return (
    <div className="csh-Buttons" role="group" aria-label={trans.__('Show')}>
      {all.map(([one, label]) => (
        <Button key={one} label={label} pressed={view === one} onClick={() => onView(one)} />
      ))}
    </div>
  );
}

function FileButton({ editing, trans }: Pick<IEditorHeaderProps, 'editing' | 'trans'>): JSX.Element {
  const input = React.useRef<HTMLInputElement>(null);
  return (
    <>
      <Button
        icon={fileUploadIcon}
        label={trans.__('Open a file')}
        title={trans.__('An environment.yaml or a lock file: it can be dropped here, too')}
        onClick={() => input.current?.click()}
      />
      <input
        ref={input}
        type="file"
        hidden
        accept=".yaml,.yml,.lock,.txt"
        onChange={async event => {
          const { files } = event.target;
          const text = await files?.[0]?.text();
          if (text !== undefined) {
            editing.open(text);
          }
          event.target.value = ''; // the same file may be chosen again
        }}
      />
    </>
  );
}

function Actions({ editing, model, trans }: IEditorHeaderProps): JSX.Element {
  const [needs, where] = editing.target
    ? (['environment::update', editing.target.name] as const)
    : (['environment:create', undefined] as const);
  const isRefused = model.permissions !== null && !model.may(needs, editing.namespace, where);
  const isReady = !editing.isLoading && !isRefused && editing.reading.fault === null && editing.text.trim() !== '';
  const isSolving = editing.preview.state === 'solving';
  return (
    <div className="csh-Buttons csh-Editor-actions">
      {isRefused && <span className="csh-Dim">{trans.__('You may not build in %1.', editing.namespace)}</span>}
      {isSolving ? (
        <Button label={trans.__('Cancel the preview')} onClick={() => editing.cancel()} />
      ) : (
        <Button
          label={trans.__('Preview')}
          title={trans.__('Choose packages, and show what changes; nothing is built')}
          disabled={!isReady}
          onClick={() => editing.solve()}
        />
      )}
      <Button
        accept
        label={editing.isBuilding ? trans.__('Submitting…') : trans.__('Build')}
        disabled={!isReady || editing.isBuilding}
        onClick={() => editing.build()}
      />
    </div>
  );
}

function sayPlace(draft: IDraft): string {
  return `${draft.namespace}/${read(draft.text).outline?.name || draft.name || '…'}`;
}

function sayAge(draft: IDraft): string {
  return sayWhen(new Date(draft.savedOn).toISOString());
}

/** Which build it begins with, and which it could. */
function Began({ editing, commands, trans }: IEditorHeaderProps): JSX.Element | null {
  const { began, target } = editing;
  const words = began ? sayBeginning(began, trans) : '';
  if (!began || !words) {
    return null;
  }
  return (
    <Notice kind="info">
      {words}
      {listOthers(began, trans).map(other => (
        <React.Fragment key={other.buildId}>
          {' '}
          <button
            type="button"
            className="csh-Link"
            onClick={() => void commands.execute(COMMANDS.openBuild, { ...target, buildId: other.buildId })}
          >
            {other.words}
          </button>{' '}
          <Button label={trans.__('Begin with that instead')} onClick={() => editing.beginWith(other.buildId)} />
        </React.Fragment>
      ))}
    </Notice>
  );
}

/** What people have to know: what it begins with, a draft, what the service said, and where. */
function Told(props: IEditorHeaderProps): JSX.Element {
  const { editing, commands, model, onFault, trans } = props;
  const { conflict, draftFrom, fault, offered, problem, target } = editing;
  const isAway = model.problem !== null && problem === null;
  const hasNowhere = target === null && model.standing === 'ready' && model.writableNamespaces.length === 0;
  return (
    <>
      {isAway && (
        <Notice kind="warn">
          <p>{model.problem?.message}</p>
          <p>{trans.__('Write on: what you type is kept.')}</p>
        </Notice>
      )}
      {hasNowhere && (
        <Notice kind="warn">{trans.__('There is no namespace that you may make environments in.')}</Notice>
      )}
      <Began {...props} />
      {draftFrom !== null && (
        <Notice kind="info">
          {trans.__('This was typed %1 and is not built yet.', sayWhen(new Date(draftFrom).toISOString()))}{' '}
          <Button label={trans.__('Begin anew')} onClick={() => editing.discard()} />
        </Notice>
      )}
      {offered && (
        <Notice kind="info">
          {trans.__('Something else was typed %1 and is not built yet: %2.', sayAge(offered), sayPlace(offered))}{' '}
          <Button label={trans.__('Go on with it')} onClick={() => editing.goOn()} />{' '}
          <Button label={trans.__('Discard it')} onClick={() => editing.refuse()} />
        </Notice>
      )}
      {conflict && (
        <Notice kind="warn">
          <p>{conflict.message}</p>
          <div className="csh-Buttons">
            {target && (
              <Button
                label={trans.__('Look at what was built')}
                onClick={() => commands.execute(COMMANDS.openEnvironment, { ...target })}
              />
            )}
            <Button label={trans.__('Build mine all the same')} onClick={() => editing.build(true)} />
          </div>
        </Notice>
      )}
      {problem && problem.line === null && (
        <Notice kind="bad">
          <pre className="csh-Words">{problem.message}</pre>
          <p>{trans.__('What you have typed is kept.')}</p>
        </Notice>
      )}
      {fault && (
        <Notice kind="bad">
          <button type="button" className="csh-Link" onClick={() => onFault(fault)}>
            {trans.__('Line %1', fault.line)}
          </button>
          <pre className="csh-Words">{fault.message}</pre>
        </Notice>
      )}
    </>
  );
}
