/** What stands in the panel. */
import { PageConfig } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, caretDownIcon, caretRightIcon, InputGroup } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { ApiError } from '../api';
import { environmentsIcon, starEmptyIcon, starIcon } from '../icons';
import {
  argsOf,
  COMMANDS,
  type Environment,
  fullName,
  type IEnvironments,
  type INamespaceList,
  isActive,
  type ISettings,
  type ISettingValues
} from '../tokens';
import { sayName, sayNamespace, sayQueued, saySize, sayStatus, sayWhen, sayWhoShares } from '../words';
import { Badge, Button, type IBadgeProps, IconButton, kindOf, Notice, useSignal } from './common';
import { Makings } from './makings';
import { type ITreeItem, Tree } from './tree';

/** Milliseconds after the last key until the service is asked. */
const TYPING = 200;

export interface IPanelProps {
  readonly model: IEnvironments;
  readonly settings: ISettings;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

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

interface IListsProps extends IPanelProps {
  readonly opened: ReadonlyMap<string, boolean>;
  readonly open: (namespace: string, isOpen: boolean) => void;
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

function listItems(props: IListsProps): ITreeItem[] {
  const { model, settings } = props;
  const favourites = model.favourites;
  const items: ITreeItem[] = [];
  if (favourites.length > 0) {
    items.push(...favouriteItems(props));
  }
  model.namespaces.forEach((list, index) => {
    const isShown = index === 0 || list.count > 0 || settings.current.showEmptyNamespaces;
    if (isShown) {
      items.push(...namespaceItems(props, list, index === 0));
    }
  });
  return items;
}

const FAVOURITES = ' favourites'; // no namespace begins with a space

function favouriteItems(props: IListsProps): ITreeItem[] {
  const { model, opened, open, trans } = props;
  const isOpen = opened.get(FAVOURITES) ?? true;
  const text = trans.__('Favourites');
  const heading: ITreeItem = {
    key: FAVOURITES,
    level: 1,
    isOpen,
    text,
    content: <Heading isOpen={isOpen} text={text} count={model.favourites.length} />,
    onActivate: () => open(FAVOURITES, !isOpen)
  };
  const shown = isOpen ? model.favourites : [];
  return [heading, ...shown.map(one => environmentItem(props, one, FAVOURITES, '{namespace}/{name}'))];
}

function namespaceItems(props: IListsProps, list: INamespaceList, isOwn: boolean): ITreeItem[] {
  const { model, opened, open, trans } = props;
  const { namespace } = list;
  const isOpen = opened.get(namespace.name) ?? isOwn;
  const text = sayNamespace(namespace, trans);
  const items: ITreeItem[] = [
    {
      key: namespace.name,
      level: 1,
      isOpen,
      text,
      className: 'csh-Namespace',
      data: { 'data-csh-namespace': namespace.name },
      content: <NamespaceHeading {...props} list={list} isOpen={isOpen} text={text} />,
      onActivate: () => open(namespace.name, !isOpen)
    }
  ];
  if (isOpen) {
    items.push(...list.environments.map(one => environmentItem(props, one, '', props.settings.current.namePattern)));
    if (list.isLoaded && list.environments.length < list.count) {
      items.push(moreItem(props, namespace.name, list.environments.length, list.count, () => model.load(namespace.name)));
    }
  }
  return items;
}

function Heading(props: { readonly isOpen: boolean; readonly text: string; readonly count: number }): JSX.Element {
  const Caret = props.isOpen ? caretDownIcon : caretRightIcon;
  return (
    <>
      <Caret.react tag="span" elementSize="normal" />
      <span className="csh-TreeItem-name">{props.text}</span>
      <span className="csh-Count">{props.count}</span>
    </>
  );
}

function NamespaceHeading(
  props: IPanelProps & { readonly list: INamespaceList; readonly isOpen: boolean; readonly text: string }
): JSX.Element {
  const { commands, list, model, settings, trans } = props;
  const name = list.namespace.name;
  const mayCreate = model.may('environment:create', name);
  const size = settings.current.showSizes ? model.size(name) : null;
  return (
    <>
      <Heading isOpen={props.isOpen} text={props.text} count={list.count} />
      {size !== null && size > 0 && (
        <span className="csh-Dim" title={trans.__('What would be free if all of it went')}>
          {saySize(size)}
        </span>
      )}
      {commands.hasCommand(COMMANDS.createEnvironment) && (
        <IconButton
          icon={addIcon}
          label={trans.__('New environment in %1', props.text)}
          disabled={!mayCreate}
          isInTree
          {...(mayCreate
            ? {}
            : { title: trans.__('You may not make environments here; ask %1', sayWhoShares(list.namespace, trans)) })}
          onClick={() => commands.execute(COMMANDS.createEnvironment, { namespace: name })}
        />
      )}
    </>
  );
}

function moreItem(
  props: IPanelProps,
  key: string,
  shown: number,
  count: number,
  more: () => Promise<void>
): ITreeItem {
  const next = Math.min(100, count - shown);
  const text = props.trans.__('Show %1 more of %2', next, count);
  return { key: `${key} more`, level: 2, text, className: 'csh-More', content: text, onActivate: () => void more() };
}

function environmentItem(props: IPanelProps, environment: Environment, list: string, pattern: string): ITreeItem {
  const { commands, model, settings, trans } = props;
  const args = argsOf(environment);
  const text = sayName(environment, pattern);
  const state = findState(props, environment)?.text;
  return {
    key: `${list} ${environment.id}`,
    level: 2,
    text,
    label: state ? trans.__('%1, %2', text, state) : text,
    className: 'csh-Environment',
    data: { 'data-csh-namespace': args.namespace, 'data-csh-name': args.name },
    content: <EnvironmentRow {...props} environment={environment} text={text} values={settings.current} />,
    onActivate: () => commands.execute(COMMANDS.openEnvironment, { ...args }),
    onFocus: () => model.select(args)
  };
}

function EnvironmentRow(
  props: IPanelProps & { readonly environment: Environment; readonly text: string; readonly values: ISettingValues }
): JSX.Element {
  const { environment, commands, model, text, trans, values } = props;
  const args = argsOf(environment);
  const isFavourite = model.isFavourite(args);
  const running = model.countRunning(args);
  const state = findState(props, environment);
  const star = isFavourite
    ? trans.__('Take %1 from favourites', fullName(environment))
    : trans.__('Add %1 to favourites', fullName(environment));
  return (
    <>
      <IconButton
        icon={isFavourite ? starIcon : starEmptyIcon}
        label={star}
        pressed={isFavourite}
        isInTree
        onClick={() => commands.execute(COMMANDS.toggleFavourite, { ...args })}
      />
      <span className="csh-TreeItem-name" title={describe(environment, trans)}>
        {text}
      </span>
      <span className="csh-TreeItem-facts">
        {state && (
          <Badge kind={state.kind} {...(state.title ? { title: state.title } : {})}>
            {state.text}
          </Badge>
        )}
        {running > 0 && (
          <Badge kind="ok" title={trans._n('%1 kernel runs in it', '%1 kernels run in it', running)}>
            {trans.__('in use: %1', running)}
          </Badge>
        )}
        {values.showSizes && environment.current_size != null && environment.current_size > 0 && (
          <span className="csh-Dim" title={trans.__('On the disk, with what it shares with others')}>
            {saySize(environment.current_size)}
          </span>
        )}
        {values.showUpdated && environment.updated_on && (
          <span className="csh-Dim" title={new Date(environment.updated_on).toLocaleString()}>
            {sayWhen(environment.updated_on)}
          </span>
        )}
      </span>
    </>
  );
}

/** How an environment stands, in one word or two, and what is behind that. */
interface IState {
  readonly kind: IBadgeProps['kind'];
  readonly text: string;
  readonly title?: string;
}

function findState({ model, trans }: IPanelProps, environment: Environment): IState | null {
  const status = environment.latest_status;
  const isUsable = environment.current_build_id !== null;
  if (status && (isActive(status) || !isUsable)) {
    return { kind: kindOf(status), text: sayQueued(status, model.position(environment), trans) };
  }
  if (status === 'FAILED') {
    const title = trans.__('The last build failed; the one before it is active.');
    return { kind: 'bad', text: sayStatus(status, trans), title };
  }
  if (!isUsable) {
    return null;
  }
  if (model.knowsKernels && model.kernels(argsOf(environment)).length === 0) {
    const title = trans.__('It has no package that notebooks could run in, such as ipykernel.');
    return { kind: 'warn', text: trans.__('no kernel'), title };
  }
  return { kind: 'ok', text: trans.__('ready') };
}

function describe(environment: Environment, trans: TranslationBundle): string {
  const status = environment.latest_status ? sayStatus(environment.latest_status, trans) : '';
  return [fullName(environment), environment.description, status && trans.__('last build: %1', status)]
    .filter(Boolean)
    .join('\n');
}
