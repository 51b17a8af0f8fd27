"""What the CLI and the daemon say to each other: JSON values over HTTP, on a Unix socket. Paths begin with the version.

By subject: `base`, `board`, `changes`, `choices`, `hosts`, `selections`, `looks`, `preflight`, `proposals`, `accounts`,
`lines`, `sandboxes`, `console`.
Who is in control is told by `daqsched.control`.
"""

from daqsched.protocol.accounts import (
    SESSION_COOKIE as SESSION_COOKIE,
)
from daqsched.protocol.accounts import (
    AuditAnswer as AuditAnswer,
)
from daqsched.protocol.accounts import (
    KnownToken as KnownToken,
)
from daqsched.protocol.accounts import (
    LoginAnswer as LoginAnswer,
)
from daqsched.protocol.accounts import (
    LoginBegun as LoginBegun,
)
from daqsched.protocol.accounts import (
    LoginRequest as LoginRequest,
)
from daqsched.protocol.accounts import (
    LoginWays as LoginWays,
)
from daqsched.protocol.accounts import (
    LogoutRequest as LogoutRequest,
)
from daqsched.protocol.accounts import (
    NewToken as NewToken,
)
from daqsched.protocol.accounts import (
    OidcLoginRequest as OidcLoginRequest,
)
from daqsched.protocol.accounts import (
    OidcRequest as OidcRequest,
)
from daqsched.protocol.accounts import (
    RevokeRequest as RevokeRequest,
)
from daqsched.protocol.accounts import (
    RightsAnswer as RightsAnswer,
)
from daqsched.protocol.accounts import (
    TokenRequest as TokenRequest,
)
from daqsched.protocol.accounts import (
    TokensAnswer as TokensAnswer,
)
from daqsched.protocol.base import (
    API as API,
)
from daqsched.protocol.base import (
    Info as Info,
)
from daqsched.protocol.base import (
    Problem as Problem,
)
from daqsched.protocol.base import (
    UnconfirmedProblem as UnconfirmedProblem,
)
from daqsched.protocol.board import (
    BoardAnswer as BoardAnswer,
)
from daqsched.protocol.board import (
    BoardDelta as BoardDelta,
)
from daqsched.protocol.board import (
    BoardReset as BoardReset,
)
from daqsched.protocol.board import (
    CellRow as CellRow,
)
from daqsched.protocol.changes import (
    Applied as Applied,
)
from daqsched.protocol.changes import (
    ApplyRequest as ApplyRequest,
)
from daqsched.protocol.changes import (
    HiddenAnswer as HiddenAnswer,
)
from daqsched.protocol.changes import (
    HideRequest as HideRequest,
)
from daqsched.protocol.changes import (
    HistoryAnswer as HistoryAnswer,
)
from daqsched.protocol.changes import (
    PlanRequest as PlanRequest,
)
from daqsched.protocol.changes import (
    RestartRequest as RestartRequest,
)
from daqsched.protocol.changes import (
    RevisionAnswer as RevisionAnswer,
)
from daqsched.protocol.changes import (
    RevisionHead as RevisionHead,
)
from daqsched.protocol.changes import (
    RollbackRequest as RollbackRequest,
)
from daqsched.protocol.changes import (
    RolloutAnswer as RolloutAnswer,
)
from daqsched.protocol.changes import (
    SteerRequest as SteerRequest,
)
from daqsched.protocol.choices import (
    ChoicesAnswer as ChoicesAnswer,
)
from daqsched.protocol.choices import (
    PartChoices as PartChoices,
)
from daqsched.protocol.choices import (
    SetRequest as SetRequest,
)
from daqsched.protocol.choices import (
    SettableVariable as SettableVariable,
)
from daqsched.protocol.console import (
    ConsoleAttached as ConsoleAttached,
)
from daqsched.protocol.console import (
    ConsoleKeys as ConsoleKeys,
)
from daqsched.protocol.console import (
    ConsoleLeave as ConsoleLeave,
)
from daqsched.protocol.console import (
    ConsoleOutput as ConsoleOutput,
)
from daqsched.protocol.console import (
    ConsoleRead as ConsoleRead,
)
from daqsched.protocol.console import (
    ConsoleRequest as ConsoleRequest,
)
from daqsched.protocol.console import (
    ConsoleTyped as ConsoleTyped,
)
from daqsched.protocol.hosts import (
    AsideAnswer as AsideAnswer,
)
from daqsched.protocol.hosts import (
    AsideRequest as AsideRequest,
)
from daqsched.protocol.hosts import (
    BorrowAnswer as BorrowAnswer,
)
from daqsched.protocol.hosts import (
    BorrowRequest as BorrowRequest,
)
from daqsched.protocol.hosts import (
    Lease as Lease,
)
from daqsched.protocol.hosts import (
    ReplaceRequest as ReplaceRequest,
)
from daqsched.protocol.lines import (
    MOST_FINGERPRINTS as MOST_FINGERPRINTS,
)
from daqsched.protocol.lines import (
    MOST_GROUPS as MOST_GROUPS,
)
from daqsched.protocol.lines import (
    MOST_LINES as MOST_LINES,
)
from daqsched.protocol.lines import (
    CountLinesAnswer as CountLinesAnswer,
)
from daqsched.protocol.lines import (
    CountLinesRequest as CountLinesRequest,
)
from daqsched.protocol.lines import (
    DeadLetter as DeadLetter,
)
from daqsched.protocol.lines import (
    DeadLettersAnswer as DeadLettersAnswer,
)
from daqsched.protocol.lines import (
    DeadLettersRequest as DeadLettersRequest,
)
from daqsched.protocol.lines import (
    FollowLinesAnswer as FollowLinesAnswer,
)
from daqsched.protocol.lines import (
    FollowLinesRequest as FollowLinesRequest,
)
from daqsched.protocol.lines import (
    LineExamplesAnswer as LineExamplesAnswer,
)
from daqsched.protocol.lines import (
    LineExamplesRequest as LineExamplesRequest,
)
from daqsched.protocol.lines import (
    LineGroup as LineGroup,
)
from daqsched.protocol.lines import (
    LinesAnswer as LinesAnswer,
)
from daqsched.protocol.lines import (
    LinesContextAnswer as LinesContextAnswer,
)
from daqsched.protocol.lines import (
    LinesContextRequest as LinesContextRequest,
)
from daqsched.protocol.lines import (
    LinesRequest as LinesRequest,
)
from daqsched.protocol.lines import (
    LinesWanted as LinesWanted,
)
from daqsched.protocol.lines import (
    NewLinesAnswer as NewLinesAnswer,
)
from daqsched.protocol.lines import (
    NewLinesRequest as NewLinesRequest,
)
from daqsched.protocol.lines import (
    NewMessage as NewMessage,
)
from daqsched.protocol.lines import (
    StoredLine as StoredLine,
)
from daqsched.protocol.looks import (
    AuditCopied as AuditCopied,
)
from daqsched.protocol.looks import (
    IncidentsAnswer as IncidentsAnswer,
)
from daqsched.protocol.looks import (
    KnownName as KnownName,
)
from daqsched.protocol.looks import (
    LogAnswer as LogAnswer,
)
from daqsched.protocol.looks import (
    NamesAnswer as NamesAnswer,
)
from daqsched.protocol.looks import (
    NoteAnswer as NoteAnswer,
)
from daqsched.protocol.looks import (
    NoteRequest as NoteRequest,
)
from daqsched.protocol.looks import (
    ProgressAnswer as ProgressAnswer,
)
from daqsched.protocol.looks import (
    StandbyCopied as StandbyCopied,
)
from daqsched.protocol.looks import (
    StatusAnswer as StatusAnswer,
)
from daqsched.protocol.looks import (
    StoriesAnswer as StoriesAnswer,
)
from daqsched.protocol.looks import (
    WhyAnswer as WhyAnswer,
)
from daqsched.protocol.preflight import (
    PreflightAnswer as PreflightAnswer,
)
from daqsched.protocol.preflight import (
    PreflightBegun as PreflightBegun,
)
from daqsched.protocol.preflight import (
    PreflightRequest as PreflightRequest,
)
from daqsched.protocol.proposals import (
    ApproveRequest as ApproveRequest,
)
from daqsched.protocol.proposals import (
    CloseRequest as CloseRequest,
)
from daqsched.protocol.proposals import (
    ProposalAnswer as ProposalAnswer,
)
from daqsched.protocol.proposals import (
    ProposalsAnswer as ProposalsAnswer,
)
from daqsched.protocol.proposals import (
    ProposeRequest as ProposeRequest,
)
from daqsched.protocol.sandboxes import (
    Piece as Piece,
)
from daqsched.protocol.sandboxes import (
    ReadAnswer as ReadAnswer,
)
from daqsched.protocol.sandboxes import (
    ReadRequest as ReadRequest,
)
from daqsched.protocol.sandboxes import (
    Sandbox as Sandbox,
)
from daqsched.protocol.sandboxes import (
    SandboxesAnswer as SandboxesAnswer,
)
from daqsched.protocol.sandboxes import (
    SandboxesRequest as SandboxesRequest,
)
from daqsched.protocol.selections import (
    OrderAnswer as OrderAnswer,
)
from daqsched.protocol.selections import (
    OrderRequest as OrderRequest,
)
from daqsched.protocol.selections import (
    Selected as Selected,
)
from daqsched.protocol.selections import (
    SelectRequest as SelectRequest,
)
