/** An environment as an item of the panel's tree. */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { starEmptyIcon, starIcon } from '../icons';
import { argsOf, COMMANDS, type Environment, fullName, isActive, type ISettingValues } from '../tokens';
import { sayName, sayQueued, saySize, sayStatus, sayWhen } from '../words';
import { Badge, type IBadgeProps, IconButton, kindOf } from './common';
import type { IPanelProps } from './panelprops';
import type { ITreeItem } from './tree';

export function environmentItem(props: IPanelProps, environment: Environment, list: string, pattern: string): ITreeItem {
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
