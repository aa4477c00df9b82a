/** Channels and packages of a specification as lists: each change is made in its text, which stays as it was typed. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, caretUpIcon, closeIcon, editIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { addEntry, moveEntry, putDependency, removeEntry, replaceEntry } from '../document';
import type { IOutline, ListName } from '../reading';
import type { Editing } from '../editing';
import type { IApi } from '../tokens';
import { Button, IconButton, Notice, useSignal } from './common';
import { PackageInput } from './packageinput';

export interface IComposerProps {
  readonly api: IApi;
  readonly editing: Editing;
  /** Whether the field for a package is to have the focus. */
  readonly isAdding: boolean;
  readonly trans: TranslationBundle;
}

interface IShownProps extends IComposerProps {
  readonly outline: IOutline;
  /** Make a change in the text; what cannot be made is said. */
  readonly change: (made: string | null, said: string) => void;
}

export function Composer(props: IComposerProps): JSX.Element {
  const { editing, trans } = props;
  useSignal(editing.changed);
  const [said, setSaid] = React.useState('');
  const [isRefused, setRefused] = React.useState(false);
  const { outline } = editing.reading;
  if (editing.isLoading) {
    return <p className="csh-Hint">{trans.__('Loading…')}</p>;
  }
  if (editing.isLockfile) {
    const told = trans.__('This is a lock file: exactly what it lists is built, and there is nothing to compose.');
    return <Notice kind="info">{told}</Notice>;
  }
  if (!outline) {
    return <Notice kind="info">{trans.__('The text has to be readable first: see what is wrong beside its line.')}</Notice>;
  }
  const change = (made: string | null, words: string): void => {
    setRefused(made === null);
    setSaid(made === null ? '' : words);
    if (made !== null) {
      editing.text = made;
    }
  };
  return (
    <>
      {isRefused && (
        <Notice kind="warn">{trans.__('That cannot be done here without changing something else: do it in the text.')}</Notice>
      )}
      <Channels {...props} outline={outline} change={change} />
      <Packages {...props} outline={outline} change={change} />
      <PipPackages {...props} outline={outline} change={change} />
      <div className="csh-Hidden" role="status">
        {said}
      </div>
    </>
  );
}

function Section(props: { readonly title: string; readonly hint: string; readonly children: React.ReactNode }): JSX.Element {
  const id = React.useId();
  return (
    <section aria-labelledby={id} className="csh-Composer-section">
      <h3 id={id}>{props.title}</h3>
      <p className="csh-Dim">{props.hint}</p>
      {props.children}
    </section>
  );
}

/** Their order is their priority: it is changed by dragging, by buttons, and by Alt with the arrows. */
function Channels({ editing, outline, change, trans }: IShownProps): JSX.Element {
  const list = React.useRef<HTMLOListElement>(null);
  const [dragged, setDragged] = React.useState<number | null>(null);
  const [over, setOver] = React.useState<number | null>(null);
  const [focus, setFocus] = React.useState<number | null>(null);
  const channels = outline.channels.map(one => one.text);
  React.useEffect(() => {
    if (focus !== null) {
      list.current?.querySelectorAll<HTMLElement>('li')[focus]?.focus();
      setFocus(null);
    }
  }, [focus]);
  const move = (from: number, to: number): void => {
    if (to >= 0 && to < channels.length && to !== from) {
      const said = trans.__('%1 is now channel %2 of %3', channels[from]!, to + 1, channels.length);
      change(moveEntry(editing.text, 'channels', from, to), said);
      setFocus(to);
    }
  };
  const end = () => {
    setDragged(null);
    setOver(null);
  };
  return (
    <Section title={trans.__('Channels')} hint={trans.__('The first has priority. Drag them, or move them with Alt+↑ and Alt+↓.')}>
      <ol ref={list} className="csh-Entries">
        {channels.map((channel, index) => (
          <li
            key={`${index}-${channel}`}
            tabIndex={0}
            draggable
            className={over === index && dragged !== index ? 'csh-mod-over' : ''}
            aria-label={trans.__('%1, channel %2 of %3', channel, index + 1, channels.length)}
            onKeyDown={event => {
              const step = event.altKey && { ArrowUp: -1, ArrowDown: 1 }[event.key];
              if (step) {
                event.preventDefault();
                event.stopPropagation();
                move(index, index + step);
              }
            }}
            onDragStart={event => {
              event.dataTransfer.setData('text/plain', channel);
              event.dataTransfer.effectAllowed = 'move';
              setDragged(index);
            }}
            onDragEnd={end}
            onDragOver={event => {
              if (dragged !== null) {
                event.preventDefault();
                setOver(index);
              }
            }}
            onDrop={event => {
              if (dragged !== null) {
                event.preventDefault();
                event.stopPropagation();
                move(dragged, index);
                end();
              }
            }}
          >
            <span className="csh-Grip" aria-hidden="true">
              ⠿
            </span>
            <span className="csh-Entries-text">{channel}</span>
            <IconButton
              icon={caretUpIcon}
              label={trans.__('Move %1 up', channel)}
              disabled={index === 0}
              onClick={() => move(index, index - 1)}
            />
            <IconButton
              icon={caretDownIcon}
              label={trans.__('Move %1 down', channel)}
              disabled={index === channels.length - 1}
              onClick={() => move(index, index + 1)}
            />
            <Remove {...{ editing, change, trans }} list="channels" index={index} text={channel} />
          </li>
        ))}
      </ol>
      {channels.length === 0 && <p className="csh-Hint">{trans.__('None: those that are set for the namespace.')}</p>}
      <AddText
        label={trans.__('Add a channel')}
        button={trans.__('Add channel')}
        onAdd={value => change(addEntry(editing.text, 'channels', value), trans.__('Added %1', value))}
      />
    </Section>
  );
}

function Packages(props: IShownProps): JSX.Element {
  const { api, editing, outline, change, isAdding, trans } = props;
  const where = { namespace: editing.namespace, channels: outline.channels.map(one => one.text) };
  const put = (value: string) => change(putDependency(editing.text, 'dependencies', value), trans.__('%1 is in the list', value));
  return (
    <Section title={trans.__('Packages')} hint={trans.__('Type a name to search the channels; “=” behind it shows versions.')}>
      <PackageInput
        api={api}
        where={where}
        label={trans.__('Add a package')}
        isFocused={isAdding}
        onAdd={put}
        trans={trans}
      />
      <ul className="csh-Entries">
        {outline.dependencies.map((entry, index) => (
          <Entry key={`${index}-${entry.text}`} {...props} list="dependencies" index={index} text={entry.text}>
            {(value, done) => (
              <PackageInput
                api={api}
                where={where}
                label={trans.__('Change %1', value)}
                value={value}
                isFocused
                onAdd={done}
                onCancel={() => done(value)}
                trans={trans}
              />
            )}
          </Entry>
        ))}
      </ul>
    </Section>
  );
}

function PipPackages(props: IShownProps): JSX.Element {
  const { editing, outline, change, trans } = props;
  return (
    <Section
      title={trans.__('Packages of pip')}
      hint={trans.__('Installed after the others, as in a requirements file: name[extra]>=version.')}
    >
      <ul className="csh-Entries">
        {outline.pip.map((entry, index) => (
          <Entry key={`${index}-${entry.text}`} {...props} list="pip" index={index} text={entry.text}>
            {(value, done) => <EditText label={trans.__('Change %1', value)} value={value} onDone={done} />}
          </Entry>
        ))}
      </ul>
      <AddText
        label={trans.__('Add a package of pip')}
        button={trans.__('Add')}
        onAdd={value => change(putDependency(editing.text, 'pip', value), trans.__('%1 is in the list', value))}
      />
    </Section>
  );
}

interface IEntryProps extends IShownProps {
  readonly list: ListName;
  readonly index: number;
  readonly text: string;
  /** The field that changes it. */
  readonly children: (value: string, done: (value: string) => void) => React.ReactNode;
}

function Entry({ list, index, text, children, editing, change, trans }: IEntryProps): JSX.Element {
  const [isEdited, setEdited] = React.useState(false);
  const node = React.useRef<HTMLLIElement>(null);
  const done = (value: string): void => {
    setEdited(false);
    refocus(node.current, '.csh-Entries .csh-IconButton', 2 * index);
    if (value && value !== text) {
      change(replaceEntry(editing.text, list, index, value), trans.__('%1 is now %2', text, value));
    }
  };
  if (isEdited) {
    return <li ref={node}>{children(text, done)}</li>;
  }
  return (
    <li ref={node} onDoubleClick={() => setEdited(true)}>
      <span className="csh-Entries-text">{text}</span>
      <IconButton icon={editIcon} label={trans.__('Change %1', text)} onClick={() => setEdited(true)} />
      <Remove {...{ editing, change, trans, list, index, text }} />
    </li>
  );
}

function Remove(
  props: Pick<IShownProps, 'editing' | 'change' | 'trans'> & {
    readonly list: ListName;
    readonly index: number;
    readonly text: string;
  }
): JSX.Element {
  const { editing, change, trans, list, index, text } = props;
  const node = React.useRef<HTMLSpanElement>(null);
  const remove = () => {
    refocus(node.current, '.csh-Remove .csh-IconButton', index);
    change(removeEntry(editing.text, list, index), trans.__('Removed %1', text));
  };
  return (
    <span ref={node} className="csh-Remove">
      <IconButton icon={closeIcon} label={trans.__('Remove %1', text)} onClick={remove} />
    </span>
  );
}

/** Once what has the focus is gone: put it on what stands there then, or on the section's field. */
function refocus(node: HTMLElement | null, selector: string, index: number): void {
  const section = node?.closest('section');
  requestAnimationFrame(() => {
    const found = section?.querySelectorAll<HTMLElement>(selector);
    (found?.[Math.min(index, found.length - 1)] ?? section?.querySelector('input'))?.focus();
  });
}

function AddText(props: {
  readonly label: string;
  readonly button: string;
  readonly onAdd: (value: string) => void;
}): JSX.Element {
  const [text, setText] = React.useState('');
  const add = () => {
    if (text.trim()) {
      props.onAdd(text.trim());
      setText('');
    }
  };
  return (
    <div className="csh-Add">
      <input
        className="jp-mod-styled"
        aria-label={props.label}
        placeholder={props.label}
        spellCheck={false}
        value={text}
        onChange={event => setText(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            event.preventDefault();
            add();
          }
        }}
      />
      <Button label={props.button} disabled={!text.trim()} onClick={add} />
    </div>
  );
}

function EditText(props: {
  readonly label: string;
  readonly value: string;
  readonly onDone: (value: string) => void;
}): JSX.Element {
  const [text, setText] = React.useState(props.value);
  return (
    <input
      className="jp-mod-styled"
      aria-label={props.label}
      autoFocus
      spellCheck={false}
      value={text}
      onChange={event => setText(event.target.value)}
      onBlur={() => props.onDone(text.trim())}
      onKeyDown={event => {
        if (event.key === 'Enter' || event.key === 'Escape') {
          event.preventDefault();
          event.stopPropagation();
          props.onDone(event.key === 'Enter' ? text.trim() : props.value);
        }
      }}
    />
  );
}
