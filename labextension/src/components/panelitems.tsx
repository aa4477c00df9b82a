/** The namespaces and favourites as items of the panel's tree, with what is open below each. */
import { addIcon, caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { COMMANDS, type INamespaceList } from '../tokens';
import { sayNamespace, saySize, sayWhoShares } from '../words';
import { IconButton } from './common';
import { environmentItem } from './environmentitem';
import type { IListsProps, IPanelProps } from './panelprops';
import type { ITreeItem } from './tree';

export function listItems(props: IListsProps): ITreeItem[] {
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

export function moreItem(
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
