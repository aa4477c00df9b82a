/** What several components are made of. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';
import type { BuildStatus } from '../tokens';
import { sayQueued, sayWhen } from '../words';

/** Render again whenever a signal is emitted. */
export function useSignal<S, A>(signal: ISignal<S, A>): void {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    // Once a frame at most: what comes from the service comes in pieces.
    let frame = 0;
    const onEmit = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        again();
      });
    };
    signal.connect(onEmit);
    again();
    return () => {
      cancelAnimationFrame(frame);
      signal.disconnect(onEmit);
    };
  }, [signal]);
}

export interface IBadgeProps {
  readonly kind: 'ok' | 'active' | 'bad' | 'warn' | 'plain';
  readonly title?: string;
  readonly children: React.ReactNode;
}

export function Badge({ kind, title, children }: IBadgeProps): JSX.Element {
  return (
    <span className={`csh-Badge csh-Badge-${kind}`} title={title}>
      {children}
    </span>
  );
}

const KINDS: Record<BuildStatus, IBadgeProps['kind']> = {
  QUEUED: 'active',
  BUILDING: 'active',
  COMPLETED: 'ok',
  FAILED: 'bad',
  CANCELED: 'plain'
};

export function kindOf(status: BuildStatus): IBadgeProps['kind'] {
  return KINDS[status];
}

export function StatusBadge(props: {
  readonly status: BuildStatus;
  readonly position?: number | null;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { status, position, trans } = props;
  return <Badge kind={kindOf(status)}>{sayQueued(status, position ?? null, trans)}</Badge>;
}

export function When({ time }: { readonly time: string }): JSX.Element {
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()}>
      {sayWhen(time)}
    </time>
  );
}

export interface IButtonProps {
  readonly label: string;
  readonly icon?: LabIcon;
  readonly onClick: () => unknown;
  readonly disabled?: boolean;
  readonly title?: string;
  readonly accept?: boolean;
  readonly pressed?: boolean;
  /** Whether what it opens is open. */
  readonly expanded?: boolean;
}

/** A button with words in it. */
export function Button(props: IButtonProps): JSX.Element {
  const { icon: Icon, label, accept } = props;
  return (
    <button
      type="button"
      className={`csh-Button jp-mod-styled ${accept ? 'jp-mod-accept' : 'jp-mod-reject'}`}
      disabled={props.disabled}
      title={props.title}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      onClick={() => void props.onClick()}
    >
      {Icon && <Icon.react tag="span" className="csh-Button-icon" elementSize="normal" />}
      {label}
    </button>
  );
}

/** A button with nothing but an icon, which is named for those who do not see it. */
export function IconButton(
  props: IButtonProps & {
    readonly icon: LabIcon;
    /** Tab goes past it: what it does is in the menu of its item, too. */
    readonly isInTree?: boolean;
  }
): JSX.Element {
  const { icon: Icon, isInTree, label } = props;
  return (
    <button
      type="button"
      className="csh-IconButton"
      tabIndex={isInTree ? -1 : 0}
      disabled={props.disabled}
      title={props.title ?? label}
      aria-label={label}
      aria-pressed={props.pressed}
      onClick={event => {
        event.stopPropagation();
        void props.onClick();
      }}
    >
      <Icon.react tag="span" elementSize="normal" />
    </button>
  );
}

/** Something that people should know before they read on. */
export function Notice(props: {
  readonly kind: 'info' | 'warn' | 'bad';
  readonly children: React.ReactNode;
}): JSX.Element {
  return (
    <div className={`csh-Notice csh-Notice-${props.kind}`} role={props.kind === 'info' ? 'note' : 'alert'}>
      {props.children}
    </div>
  );
}

/** A part of a page under its heading. */
export function Section(props: {
  readonly title: string;
  readonly id?: string;
  readonly children: React.ReactNode;
}): JSX.Element {
  return (
    <section className="csh-Section" aria-label={props.title} data-csh-section={props.id}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}
