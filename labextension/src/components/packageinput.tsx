/** A field for a package, which offers names and versions as one types (WAI-ARIA: combobox with a list). */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { ApiError } from '../api';
import { type ISuggestion, type ISuggestions, type IWhere, suggest } from '../completion';
import type { IApi } from '../tokens';

/** Milliseconds of silence before somebody is asked. */
const PAUSE = 200;

export interface IPackageInputProps {
  readonly api: IApi;
  readonly where: IWhere;
  readonly label: string;
  readonly value?: string;
  readonly isFocused?: boolean;
  /** Something whole was typed or chosen; the field is empty then. */
  readonly onAdd: (value: string) => void;
  /** One thinks better of it. */
  readonly onCancel?: () => void;
  readonly trans: TranslationBundle;
}

interface IOffer extends ISuggestions {
  /** What it was asked for. */
  readonly text: string;
  readonly problem: string | null;
}

const NOTHING: IOffer = { text: '', items: [], problems: [], problem: null };

export function PackageInput(props: IPackageInputProps): JSX.Element {
  const { api, where, label, onAdd, onCancel, trans } = props;
  const [text, setText] = React.useState(props.value ?? '');
  const [isOpen, setOpen] = React.useState(false);
  const [active, setActive] = React.useState(-1);
  const input = React.useRef<HTMLInputElement>(null);
  const id = React.useId();
  const { offer, isAsking } = useOffer(api, text, where, isOpen);
  React.useEffect(() => {
    if (props.isFocused) {
      input.current?.focus();
      input.current?.select();
    }
  }, [props.isFocused]);

  const add = (value: string): void => {
    if (value.trim()) {
      setText('');
      setOpen(false);
      setActive(-1);
      onAdd(value.trim());
    }
  };
  const take = (one: ISuggestion): void => {
    setActive(-1);
    if (one.isWhole) {
      add(one.value);
    } else {
      // The versions of it come next; Enter takes any.
      setText(one.value);
      input.current?.focus();
    }
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const { items } = offer;
    switch (event.key) {
      case 'ArrowDown':
      case 'ArrowUp':
        setOpen(true);
        if (items.length > 0) {
          const step = event.key === 'ArrowDown' ? 1 : -1;
          setActive((active + step + (active < 0 && step < 0 ? 1 : 0) + items.length) % items.length);
        }
        break;
      case 'Enter':
        if (isOpen && active >= 0 && items[active]) {
          take(items[active]!);
        } else {
          add(text);
        }
        break;
      case 'Escape':
        if (isOpen && items.length > 0) {
          setOpen(false);
          setActive(-1);
        } else {
          onCancel?.();
        }
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const shown = isOpen && offer.items.length > 0;
  const active_id = shown && active >= 0 ? `${id}-${active}` : undefined;
  return (
    <div className="csh-PackageInput">
      <div className="csh-PackageInput-field">
        <input
          ref={input}
          className="jp-mod-styled"
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={shown}
          aria-controls={`${id}-list`}
          aria-activedescendant={active_id}
          aria-describedby={`${id}-said`}
          aria-label={label}
          placeholder={label}
          spellCheck={false}
          autoComplete="off"
          value={text}
          onChange={event => {
            setText(event.target.value);
            setOpen(true);
            setActive(-1);
          }}
          onKeyDown={onKeyDown}
          onBlur={event => {
            if (!event.currentTarget.parentElement?.contains(event.relatedTarget)) {
              setOpen(false);
            }
          }}
        />
        <ul id={`${id}-list`} role="listbox" aria-label={label} className="csh-Suggestions" hidden={!shown}>
          {shown &&
            offer.items.map((one, index) => (
              <li
                key={one.value}
                id={`${id}-${index}`}
                role="option"
                aria-selected={index === active}
                // Before the field loses the focus.
                onMouseDown={event => {
                  event.preventDefault();
                  take(one);
                }}
              >
                <span className="csh-Suggestions-label">{one.label}</span>
                <span className="csh-Dim">{one.detail}</span>
              </li>
            ))}
        </ul>
      </div>
      <span id={`${id}-said`} role="status" className={offer.problem ? 'csh-Said csh-Said-bad' : 'csh-Said'}>
        {isOpen ? say(offer, text, isAsking, trans) : ''}
      </span>
    </div>
  );
}

function say(offer: IOffer, text: string, isAsking: boolean, trans: TranslationBundle): string {
  if (isAsking || !text.trim()) {
    return isAsking ? trans.__('Searching…') : '';
  }
  if (offer.problem) {
    return offer.problem;
  }
  const problems = offer.problems.length ? ` ${trans.__('Not read: %1', offer.problems.join(' '))}` : '';
  if (offer.items.length === 0) {
    return trans.__('Nothing like that was found in the channels.') + problems;
  }
  return trans._n('%1 suggestion', '%1 suggestions', offer.items.length) + problems;
}

/** Ask a moment after the last letter; what comes too late is not shown. */
function useOffer(api: IApi, text: string, where: IWhere, isOpen: boolean): { offer: IOffer; isAsking: boolean } {
  const [offer, setOffer] = React.useState<IOffer>(NOTHING);
  const { namespace } = where;
  const channels = where.channels.join('\n');
  React.useEffect(() => {
    if (!isOpen || !text.trim()) {
      setOffer(NOTHING);
      return;
    }
    const asking = new AbortController();
    const place = { namespace, channels: channels ? channels.split('\n') : [] };
    const timer = setTimeout(async () => {
      try {
        const found = await suggest(api, text, place, asking.signal);
        if (!asking.signal.aborted) {
          setOffer({ ...found, text, problem: null });
        }
      } catch (error) {
        if (!asking.signal.aborted) {
          setOffer({ ...NOTHING, text, problem: error instanceof ApiError ? error.message : String(error) });
        }
      }
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [api, text, namespace, channels, isOpen]);
  return { offer, isAsking: isOpen && text.trim() !== '' && offer.text !== text };
}
