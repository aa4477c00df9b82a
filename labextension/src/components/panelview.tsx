/** What stands in the panel. */
import { PageConfig } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, InputGroup } from '@jupyterlab/ui-components';
import * as React from 'react';
import { ApiError } from '../api';
import { environmentsIcon } from '../icons';
import { COMMANDS, type IEnvironments } from '../tokens';
import { Button, Notice, useSignal } from './common';
import { environmentItem } from './environmentitem';
import { Makings } from './makings';
import { listItems, moreItem } from './panelitems';
import type { IListsProps, IPanelProps } from './panelprops';
import { Tree } from './tree';

/** Milliseconds after the last key until the service is asked. */
const TYPING = 200;

export function PanelView(props: IPanelProps): JSX.Element {
  const { model, settings, trans } = props;
  useSignal(model.changed);
  useSignal(settings.changed);
  const [opened, setOpened] = React.useState<ReadonlyMap<string, boolean>>(new Map());
  const open = (namespace: string, isOpen: boolean): void => {
    setOpened(new Map(opened).set(namespace, isOpen));
    const list = model.namespaces.find(one => one.namespace.name === namespace);
    if (isOpen && list && !list.isLoaded) {
      void model.load(namespace);
    }
  };
  return (
    <div className="csh-PanelView">
      <Visiting trans={trans} />
      <Search model={model} trans={trans} />
      <Problem {...props} />
      <Makings {...props} />
      <div className="csh-PanelView-lists" aria-busy={model.standing === 'unknown'}>
        <Lists {...props} opened={opened} open={open} />
      </div>
    </div>
  );
}

/** Who is on somebody else's server sees what its owner sees. */
function Visiting({ trans }: { readonly trans: TranslationBundle }): JSX.Element | null {
  const [me, owner] = [PageConfig.getOption('hubUser'), PageConfig.getOption('hubServerUser')];
  if (!me || !owner || me === owner) {
    return null;
  }
  return (
    <Notice kind="info">
      {trans.__('This is the server of %1: you see what %1 sees; what you change is changed as %2.', owner, me)}
    </Notice>
  );
}

function Search({ model, trans }: { readonly model: IEnvironments; readonly trans: TranslationBundle }): JSX.Element {
  const [text, setText] = React.useState('');
  const isFirst = React.useRef(true);
  React.useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return undefined;
    }
    const timer = setTimeout(() => void model.find(text), TYPING);
    return () => clearTimeout(timer);
  }, [text, model]);
  return (
    <div className="csh-Search" role="search">
      <InputGroup
        type="search"
        value={text}
        placeholder={trans.__('Search environments')}
        aria-label={trans.__('Search environments')}
        rightIcon="ui-components:search"
        onChange={event => setText(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Escape') {
            setText('');
          }
        }}
      />
    </div>
  );
}

function Problem({ model, trans }: IPanelProps): JSX.Element | null {
  if (!model.problem) {
    return null;
  }
  return (
    <Notice kind={model.standing === 'unavailable' ? 'warn' : 'bad'}>
      <p>{model.problem.message}</p>
      {model.namespaces.length > 0 && <p>{trans.__('What is shown here is what was last known.')}</p>}
      {model.problem instanceof ApiError && model.problem.isLoggedOut ? (
        <Button accept label={trans.__('Load the page again')} onClick={() => window.location.reload()} />
      ) : (
        <Button label={trans.__('Try again')} onClick={() => model.refresh()} />
      )}
    </Notice>
  );
}

function Lists(props: IListsProps): JSX.Element | null {
  const { model, trans } = props;
  if (model.search) {
    return <Found {...props} />;
  }
  if (model.standing === 'unknown') {
    return <p className="csh-Hint">{trans.__('Loading…')}</p>;
  }
  const own = model.namespaces[0];
  const isNew = own !== undefined && own.isLoaded && own.count === 0;
  return (
    <>
      {isNew && model.standing === 'ready' && <StartHere {...props} />}
      <Tree label={trans.__('Environments by namespace')} items={listItems(props)} />
    </>
  );
}

/** For who has no environment of their own yet. */
function StartHere({ model, commands, trans }: IPanelProps): JSX.Element {
  const [first] = model.writableNamespaces;
  const canCreate = commands.hasCommand(COMMANDS.createEnvironment);
  return (
    <section className="csh-StartHere" aria-labelledby="csh-start-here">
      <environmentsIcon.react tag="span" className="csh-StartHere-icon" width="32px" height="32px" />
      <h3 id="csh-start-here">{trans.__('Start here')}</h3>
      <p>
        {trans.__(
          'An environment is a set of packages for notebooks: you say which, and it is built, kept and listed as a kernel.'
        )}
      </p>
      {first !== undefined && canCreate && (
        <Button
          accept
          icon={addIcon}
          label={trans.__('New environment')}
          onClick={() => commands.execute(COMMANDS.createEnvironment, { namespace: first })}
        />
      )}
      {first === undefined && <p>{trans.__('You may not make environments; ask an administrator of the Hub.')}</p>}
    </section>
  );
}

function Found(props: IListsProps): JSX.Element {
  const { model, settings, trans } = props;
  const found = model.search!;
  const items = found.environments.map(one => environmentItem(props, one, 'found', '{namespace}/{name}'));
  if (found.environments.length < found.count) {
    items.push(moreItem(props, 'found', found.environments.length, found.count, () => model.findMore()));
  }
  return (
    <>
      <p className="csh-Hint" role="status">
        {found.isLoading ? trans.__('Searching…') : trans._n('%1 found', '%1 found', found.count)}
      </p>
      {items.length > 0 && <Tree label={trans.__('Environments found')} items={items} key={settings.current.namePattern} />}
    </>
  );
}
